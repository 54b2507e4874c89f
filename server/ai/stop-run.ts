// Stops a run on any instance, and ends the runs of producers that died.
import { setTimeout as sleep } from "node:timers/promises";
import { classifyDatabaseError } from "../database/errors.ts";
import type { PubSub } from "../kv/ports.ts";
import { AppError, isAppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { Run, StopResult } from "./ai.types.ts";
import { endedRun, endEvent } from "./end-run.ts";
import { findOwnRun, type ReadDeps } from "./read-run.ts";

/** The channel on which an instance asks the others to stop a run it does not produce. */
export const STOP_CHANNEL = "ai-run-stop";

/** Dependencies of stopping. */
interface StopDeps extends ReadDeps {
  readonly active: ActiveRuns;
  readonly pubsub: PubSub;
  readonly logger: Logger;
}

/** A run ends within this time after a stop, or the caller has to try again. */
const STOP_WAIT_MS = 15_000;
const CHECK_INTERVAL_MS = 200;
/** Most runs ended in one round of the job. */
const REAP_LIMIT = 100;
/**
 * How many more ticks a producer gets after its lease has expired before it is presumed dead. After a database outage
 * all leases have expired, and the first instance to check must not end runs whose producers are about to renew them.
 */
const REVIVAL_TICKS = 3;

/**
 * Stops the user's run, settles it for what was produced, and returns how it ended. Returns the end of a run that has
 * already ended. Throws NOT_FOUND, SERVICE_UNAVAILABLE.
 */
export async function stopRun(deps: StopDeps, userId: string, runId: string): Promise<StopResult> {
  let run = await findOwnRun(deps.store, userId, runId);
  if (run.state === "running") {
    // Write the row first, so that the request is noticed even if the message is lost.
    await deps.store.requestStop(runId);
    deps.active.get(runId)?.stop("stopped");
    await deps.pubsub.publish(STOP_CHANNEL, runId);
    run = await waitForEnd(deps, userId, runId);
  }
  const { outcome, charged, balance } = endedRun(run);
  return { outcome, charged, balance };
}

async function waitForEnd(deps: StopDeps, userId: string, runId: string): Promise<Run> {
  const giveUpAt = performance.now() + STOP_WAIT_MS;
  const revivalMs = REVIVAL_TICKS * deps.timings.tickMs;
  let overdueSinceMs: number | null = null;
  while (performance.now() < giveUpAt) {
    const here = deps.active.get(runId);
    if (here === undefined) await sleep(CHECK_INTERVAL_MS);
    else await Promise.race([here.done, sleep(CHECK_INTERVAL_MS * 5)]);
    const run = await findOwnRun(deps.store, userId, runId);
    if (run.state !== "running") return run;
    const isOverdue = here === undefined && run.leaseExpiresAt < (await deps.store.now());
    overdueSinceMs = isOverdue ? (overdueSinceMs ?? performance.now()) : null;
    if (overdueSinceMs !== null && performance.now() - overdueSinceMs >= revivalMs)
      await endAbandoned(deps, run);
  }
  throw AppError.of("SERVICE_UNAVAILABLE", "The run is being stopped. Please look again.", {
    retryAfterSeconds: 2,
  });
}

/**
 * Job: ends the runs whose producer died, charging the share last recorded. One that cannot be ended now does not hold
 * up the others. Returns how many were ended. Throws SERVICE_UNAVAILABLE if the database goes away again while it waits
 * for producers to come back.
 */
export async function endAbandonedRuns(deps: StopDeps, signal: AbortSignal): Promise<number> {
  // A run of this process is alive, however late its lease is renewed.
  const isElsewhere = (run: Run) => deps.active.get(run.id) === undefined;
  let total = 0;
  for (let round = 1; ; round += 1) {
    const runs = await deps.store.abandoned(REAP_LIMIT);
    // Only once: leases listed in later rounds had expired by then, too, or expired while the database was available.
    if (round === 1 && runs.some(isElsewhere)) await awaitRevivals(deps, signal);
    let ended = 0;
    // Their rows are locked: each further run of theirs would wait for the lock as long.
    const lockedUserIds = new Set<string>();
    for (const run of runs.filter(isElsewhere)) {
      if (signal.aborted) return total;
      if (lockedUserIds.has(run.userId)) continue;
      try {
        if (await endAbandoned(deps, run)) ended += 1;
      } catch (error) {
        deps.logger.warn({ err: error, runId: run.id }, "an abandoned run could not be ended yet");
        if (classifyDatabaseError(error) === "conflict") lockedUserIds.add(run.userId);
        // The database may have been away once more, and every lease expired meanwhile.
        else if (isAppError(error, "SERVICE_UNAVAILABLE")) await awaitRevivals(deps, signal);
      }
    }
    total += ended;
    if (runs.length < REAP_LIMIT || ended === 0) return total;
  }
}

/** Gives living producers their ticks. Throws if the database goes away meanwhile, as they then cannot use them. */
async function awaitRevivals({ store, timings }: StopDeps, signal: AbortSignal): Promise<void> {
  for (let tick = 0; tick < REVIVAL_TICKS; tick += 1) {
    await sleep(timings.tickMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    await store.now();
  }
}

/** Returns false if the producer turned out to be alive. */
async function endAbandoned(deps: StopDeps, run: Run): Promise<boolean> {
  const ended = await deps.store.endAbandoned(run);
  if (ended === null) return false;
  const event = JSON.stringify(endEvent(ended));
  await deps.output.appendAfterCrash(run.id, event, deps.timings.keepOutputMs / 1000);
  return true;
}
