// Reads a run on any instance: replays the events after the reader's last one, follows new ones, finishes with the end.
import { setTimeout as sleep } from "node:timers/promises";
import { runEvent } from "../../shared/src/ai.ts";
import { toServiceUnavailable } from "../database/errors.ts";
import type { OutputPage, RunOutput } from "../kv/ports.ts";
import { AppError, isAppError, notFound } from "../lib/errors.ts";
import { createWaiter, type Waiter } from "../lib/waiter.ts";
import type { Run, RunTimings, TrackedRunEvent } from "./ai.types.ts";
import { endId, eventId, foreignEventId, receivedUpTo } from "./event-ids.ts";
import type { RunStore } from "./ports.ts";
import { endedRun, endEvent } from "./end-run.ts";

/** Dependencies of a reader. */
export interface ReadDeps {
  readonly store: RunStore;
  readonly output: RunOutput;
  readonly timings: RunTimings;
}

/** Wake-ups may be lost, so an idle reader checks again after this long. */
const LOOK_AGAIN_MS = 1_000;
/** How long a producer has to resend events a reader has: short, so that the response status can still be a refusal. */
const PRODUCER_ANSWER_MS = 600;
/** Pause between checks while more of them arrive. MAX_LOOKS checks are enough for the longest output. */
const LOOK_PAUSE_MS = 200;
const MAX_LOOKS = 15;
/** With Redis unavailable, a reader on another instance gets the end from the database, this long after it. */
const END_WITHOUT_OUTPUT_MS = 2_000;

/**
 * Yields the events of the user's run after `lastEventId` (all of them if omitted), up to `end`. Throws NOT_FOUND (the
 * user has no such run, or its output is gone), VALIDATION_FAILED (an event id that is not of this run),
 * SERVICE_UNAVAILABLE (another process produces it and there is no Redis; a new connection may reach that process).
 */
export async function* readRun(
  deps: ReadDeps,
  reader: { readonly userId: string; readonly runId: string; readonly lastEventId?: string },
  signal: AbortSignal,
): AsyncGenerator<TrackedRunEvent, void, void> {
  const { runId } = reader;
  const run = await findOwnRun(deps.store, reader.userId, runId);
  await requireKept(deps, run);
  const received = receivedUpTo(runId, reader.lastEventId);
  if (received === "end") {
    if (run.endedAt === null) throw foreignEventId();
    return;
  }
  let seq = received;
  const waiter = createWaiter(signal);
  const unwatch = await deps.output.watch(runId, waiter.wake);
  const presence = announce(deps, runId, signal);
  try {
    if (seq > 0) await assertReceivable(deps, run, { seq, waiter });
    let isQuiet = true;
    while (!signal.aborted) {
      const page = await deps.output.read(runId, seq);
      const seenBefore = seq;
      for (const { seq: number, data } of page.events) {
        // The stored number counts, not the position in the page, so that a gap is waited for and never skipped.
        if (number !== seq + 1) break;
        seq = number;
        const event = runEvent.parse(JSON.parse(data));
        const isEnd = event.type === "end";
        yield { id: isEnd ? endId(runId) : eventId(runId, seq), event };
        if (isEnd) return;
      }
      const isLacking = seq === seenBefore;
      if (!isLacking && seq < page.lastSeq) continue;
      // Ask the database only if nothing has arrived for a while: it may be unavailable, and it does not hold the text.
      const ended = isLacking && isQuiet ? await endWithoutOutput(deps, run, page, seq) : null;
      if (ended !== null) {
        yield ended;
        return;
      }
      isQuiet = !(await waiter.wait(LOOK_AGAIN_MS));
    }
  } finally {
    presence.end();
    waiter.close();
    await unwatch();
    await deps.output.noteReader(runId);
  }
}

/** Milliseconds since `moment` by the database's clock, which also dates the ends of runs. */
async function msSince(store: RunStore, moment: Date): Promise<number> {
  return (await store.now()).getTime() - moment.getTime();
}

/** Returns the user's run. Throws NOT_FOUND, whether the run does not exist or is another user's. */
export async function findOwnRun(store: RunStore, userId: string, runId: string): Promise<Run> {
  const run = await store.find(runId);
  if (run === null || run.userId !== userId) throw notFound("run");
  return run;
}

/** Throws NOT_FOUND once the output of an ended run is no longer kept. */
async function requireKept({ timings, store }: ReadDeps, run: Run): Promise<void> {
  if (run.endedAt !== null && (await msSince(store, run.endedAt)) > timings.keepOutputMs)
    throw AppError.of("NOT_FOUND", "The output of this run is not kept any more.");
}

/** Throws VALIDATION_FAILED for an event number beyond the last one, provided that all events are known. */
async function assertReceivable(
  { store, output }: ReadDeps,
  { id: runId, lastSeq, endedAt }: Run,
  { seq, waiter }: { readonly seq: number; readonly waiter: Waiter },
): Promise<void> {
  const page = await output.read(runId, seq);
  // The last event is the end, whose id has no number.
  if (lastSeq === null ? seq <= page.lastSeq : seq < lastSeq) return;
  if (lastSeq !== null || page.isProducer) throw foreignEventId();
  // Redis may have lost the newest events of a producer that died, so a reader may have received more than is left.
  if (endedAt !== null || !page.reachable || !output.isShared) return;
  await output.requestMissing(runId);
  await sleep(PRODUCER_ANSWER_MS);
  // Only a live producer wakes readers, with each part that it sends.
  if (!(await waiter.wait(0))) return;
  let { lastSeq: before } = page;
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const now = await output.read(runId, seq);
    if (seq <= now.lastSeq || !now.reachable) return;
    // The producer has sent all it has.
    if (now.lastSeq === before) break;
    before = now.lastSeq;
    await sleep(LOOK_PAUSE_MS);
  }
  const now = await nullIfUnavailable(store.find(runId));
  if (now?.endedAt === null) throw foreignEventId();
}

/**
 * Returns the end from the database once the run has ended and no more output will arrive, because its producer died
 * before Redis had it all, or because Redis is unavailable. Null while output may still arrive; what Redis has lost is
 * requested again. Throws SERVICE_UNAVAILABLE if the output can only reach readers in another process.
 */
async function endWithoutOutput(
  deps: ReadDeps,
  { id: runId, leaseExpiresAt }: Run,
  page: OutputPage,
  seq: number,
): Promise<TrackedRunEvent | null> {
  // Events that are known to exist are on their way.
  if (page.lastSeq > seq) return null;
  const run = await nullIfUnavailable(deps.store.find(runId));
  if (run === null) return null;
  // The producer itself has everything there is.
  const canMissOutput = !page.isProducer && page.reachable;
  if (run.endedAt === null || run.state === "running") {
    // The lease was renewed since this reader arrived: the producer is alive, and not here.
    const isElsewhere = run.leaseExpiresAt > leaseExpiresAt;
    if (canMissOutput && isElsewhere && !deps.output.isShared) throw outputUnreachable();
    if (canMissOutput && (page.lastSeq < seq || page.lastSeq === 0))
      await deps.output.requestMissing(runId);
    return null;
  }
  // A producer that is alive has the rest of the text, which arrives as soon as Redis responds again.
  const isMissingText = run.lastSeq !== null && seq < run.lastSeq - 1;
  const patienceMs = isMissingText ? deps.timings.keepOutputMs / 2 : END_WITHOUT_OUTPUT_MS;
  const sinceEndMs = await nullIfUnavailable(msSince(deps.store, run.endedAt));
  if (sinceEndMs === null) return null;
  if (sinceEndMs < patienceMs) {
    if (canMissOutput && isMissingText && !deps.output.isShared) throw outputUnreachable();
    if (canMissOutput) await deps.output.requestMissing(runId);
    return null;
  }
  return { id: endId(runId), event: endEvent(endedRun(run)) };
}

/** Returns what the database says, or null while it is unavailable, since the text comes from elsewhere. */
async function nullIfUnavailable<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    const isUnavailable = isAppError(error, "SERVICE_UNAVAILABLE") || toServiceUnavailable(error);
    if (isUnavailable) return null;
    throw error;
  }
}

function outputUnreachable(): AppError {
  return AppError.of(
    "SERVICE_UNAVAILABLE",
    "This run is produced by another process of the server, and without Redis processes share no output. Please try again.",
    { retryAfterSeconds: 1 },
  );
}

/** Announces at every tick that there is a reader, so that the producer continues. */
function announce({ output, timings }: ReadDeps, runId: string, signal: AbortSignal) {
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, signal]);
  async function loop(): Promise<void> {
    while (!either.aborted) {
      await output.noteReader(runId);
      await sleep(timings.tickMs, undefined, { signal: either, ref: false }).catch(() => {});
    }
  }
  void loop();
  return { end: () => over.abort() };
}
