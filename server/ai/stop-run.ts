// Stopping a run on any instance, and ending the runs of producers that are gone.
import { setTimeout as sleep } from "node:timers/promises";
import type { PubSub } from "../kv/ports.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { Run, StopResult } from "./ai.types.ts";
import { endedRun, endEvent } from "./end-run.ts";
import { findOwnRun, type ReadDeps } from "./read-run.ts";

/** Where an instance asks the others to stop a run it does not produce. */
export const STOP_CHANNEL = "ai-run-stop";

/** Dependencies of stopping. */
interface StopDeps extends ReadDeps {
  readonly active: ActiveRuns;
  readonly pubsub: PubSub;
  readonly logger: Logger;
}

/** A stop is answered within this, or the caller is told to try again. */
const STOP_WAIT_MS = 15_000;
const LOOK_EVERY_MS = 200;
/** Runs ended in one round of the job. */
const REAP_LIMIT = 100;
/**
 * Ticks of a producer whose lease ran out before it is taken for dead. After an outage of the database the leases of all
 * have run out, and whoever looks first must not end the runs of producers that are about to renew theirs.
 */
const REVIVAL_TICKS = 3;

/**
 * Stops the user's run, settles it for what was produced, and returns how it ended; a run that has ended already is
 * returned as it ended. Throws NOT_FOUND, SERVICE_UNAVAILABLE.
 */
export async function stopRun(deps: StopDeps, userId: string, runId: string): Promise<StopResult> {
  let run = await findOwnRun(deps.store, userId, runId);
  if (run.state === "running") {
    // The row first: it is heard of even where the message is lost.
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
  let overdueSinceMs: number | null = null;
  while (performance.now() < giveUpAt) {
    const here = deps.active.get(runId);
    if (here === undefined) await sleep(LOOK_EVERY_MS);
    else await Promise.race([here.done, sleep(LOOK_EVERY_MS * 5)]);
    const run = await findOwnRun(deps.store, userId, runId);
    if (run.state !== "running") return run;
    const isOverdue = here === undefined && run.leaseExpiresAt < (await deps.store.now());
    overdueSinceMs = isOverdue ? (overdueSinceMs ?? performance.now()) : null;
    if (overdueSinceMs !== null && performance.now() - overdueSinceMs >= revivalMs(deps))
      await endAbandoned(deps, run);
  }
  throw AppError.of("SERVICE_UNAVAILABLE", "The run is being stopped. Please look again.", {
    retryAfterSeconds: 2,
  });
}

/**
 * Job: ends the runs whose producer died, for the share last written down. One that cannot be ended now does not hold up
 * the others. Returns how many.
 */
export async function endAbandonedRuns(deps: StopDeps, signal: AbortSignal): Promise<number> {
  // A run of this very process lives, however late its lease is renewed.
  const isElsewhere = (run: Run) => deps.active.get(run.id) === undefined;
  let total = 0;
  for (let round = 1; ; round += 1) {
    const runs = await deps.store.abandoned(REAP_LIMIT);
    // Once: what later rounds list was overdue then, too, or ran out while the database was there.
    if (round === 1 && runs.some(isElsewhere))
      await sleep(revivalMs(deps), undefined, { signal }).catch(() => undefined);
    let ended = 0;
    for (const run of runs.filter(isElsewhere)) {
      if (signal.aborted) return total;
      try {
        if (await endAbandoned(deps, run)) ended += 1;
      } catch (error) {
        deps.logger.warn({ err: error, runId: run.id }, "an abandoned run could not be ended yet");
      }
    }
    total += ended;
    if (runs.length < REAP_LIMIT || ended === 0) return total;
  }
}

function revivalMs({ timings }: StopDeps): number {
  return REVIVAL_TICKS * timings.tickMs;
}

/** False when the producer turned out to be alive. */
async function endAbandoned(deps: StopDeps, run: Run): Promise<boolean> {
  const ended = await deps.store.endAbandoned(run);
  if (ended === null) return false;
  const event = JSON.stringify(endEvent(ended));
  await deps.output.appendAfterCrash(run.id, event, deps.timings.keepOutputMs / 1000);
  return true;
}
