// Ids of a run's events: the run's own id and a number, so that an id of another run is recognised.
import { type AppError, invalidField } from "../lib/errors.ts";

/** The id of a run's event number `seq`. */
export function eventId(runId: string, seq: number): string {
  return `${runId}.${seq}`;
}

/** The number in an id; 0 for none given. Throws VALIDATION_FAILED for what is no event id of this run. */
export function seqOfEventId(runId: string, lastEventId: string | undefined): number {
  if (lastEventId === undefined || lastEventId === "") return 0;
  const text = lastEventId.startsWith(`${runId}.`) ? lastEventId.slice(runId.length + 1) : "";
  if (!/^[1-9]\d{0,8}$/.test(text)) throw foreignEventId();
  return Number(text);
}

/** The refusal of an event id that is not of this run. */
export function foreignEventId(): AppError {
  return invalidField(
    "lastEventId",
    "Use the id of an event of this run.",
    "This is not an event of this run.",
  );
}
