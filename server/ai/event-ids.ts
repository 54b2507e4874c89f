// Ids of a run's events: the run's id plus a number, so that an id of another run is recognised. The id of the end has
// no number, because if the producer died and Redis lost output, the next number is not known.
import { type AppError, invalidField } from "../lib/errors.ts";

/** The last event a reader has received: its number (0 = none yet), or the end. */
type Received = number | "end";

/** No run has more events, because kv/redis/run-output.ts keeps no more of each. */
const MAX_EVENTS = 50_000;

/** Returns the id of a run's event number `seq`. */
export function eventId(runId: string, seq: number): string {
  return `${runId}.${seq}`;
}

/** Returns the id of a run's end. */
export function endId(runId: string): string {
  return `${runId}.end`;
}

/** Returns what a reader with `lastEventId` has received. Throws VALIDATION_FAILED if the id is not of this run. */
export function receivedUpTo(runId: string, lastEventId: string | undefined): Received {
  if (lastEventId === undefined || lastEventId === "") return 0;
  if (lastEventId === endId(runId)) return "end";
  const text = lastEventId.startsWith(`${runId}.`) ? lastEventId.slice(runId.length + 1) : "";
  if (!/^[1-9]\d{0,4}$/.test(text) || Number(text) > MAX_EVENTS) throw foreignEventId();
  return Number(text);
}

/** Returns the refusal of an event id that is not of this run. */
export function foreignEventId(): AppError {
  return invalidField(
    "lastEventId",
    "Use the id of an event of this run.",
    "This is not an event of this run.",
  );
}
