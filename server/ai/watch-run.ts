// Watches over a run while it is produced: renews its lease, notices a stop requested elsewhere, and stops a run that
// nobody has read for 30 s or that takes too long.
import { createWaiter } from "../lib/waiter.ts";
import type { ActiveRun } from "./active-runs.ts";
import type { ProduceDeps } from "./ports.ts";

/** Renews the lease, notices a stop requested elsewhere, and stops a run that nobody reads or that takes too long. */
export interface Watch {
  /** Records what the output is worth now, instead of at the next tick. */
  note(): void;
  end(): void;
}

/**
 * Starts watching a run. `worth` returns the credits its output is worth so far. Call `end()` once the run is settled.
 * Failures are logged, never thrown.
 */
export function watchRun(deps: ProduceDeps, active: ActiveRun, worth: () => number): Watch {
  const { timings } = deps;
  const over = new AbortController();
  const waiter = createWaiter(over.signal);
  const tooLong = setTimeout(() => active.stop("tooLong"), timings.maxRunMs);
  tooLong.unref();
  let readerSeenAtMs = performance.now();
  let hadReader = false;

  async function tick(): Promise<void> {
    const lease = { leaseMs: timings.leaseMs, producedCredits: worth() };
    const state = await deps.store.renewLease(active.run.id, lease);
    if (state === "stopRequested") active.stop("stopped");
    // Another instance presumed this producer dead and ended the run, so further output would belong to nobody.
    if (state === "ended") active.stop("leaseLost");
    const readAt = await deps.output.lastReaderAt(active.run.id);
    // Undefined: Redis cannot say whether there is a reader on another instance, so there may be one. Null after a
    // time: Redis was emptied. Either way, a reader gets the whole grace period to announce itself again.
    const isUnknown = readAt === undefined || (readAt === null && hadReader);
    hadReader = typeof readAt === "number";
    readerSeenAtMs = isUnknown ? performance.now() : Math.max(readerSeenAtMs, readAt ?? 0);
    if (performance.now() - readerSeenAtMs > timings.readerGraceMs) active.stop("abandoned");
  }

  // One tick after another: of two concurrent ones, the older could write its lower figure last.
  async function loop(): Promise<void> {
    for (;;) {
      await waiter.wait(timings.tickMs);
      if (over.signal.aborted) return;
      await tick().catch((error: unknown) => {
        // Disconnected readers could not return meanwhile, because without the database every new stream is refused.
        readerSeenAtMs = performance.now();
        const facts = { err: error, runId: active.run.id };
        deps.logger.warn(facts, "a run's lease could not be renewed");
      });
    }
  }
  void loop();
  return {
    note: waiter.wake,
    end() {
      clearTimeout(tooLong);
      over.abort();
    },
  };
}
