// What goes on beside a run: its lease is renewed, a stop asked for elsewhere is heard of, and a run that nobody reads for
// 30 s, or that takes too long, is ended.
import { createWaiter } from "../lib/waiter.ts";
import type { ActiveRun } from "./active-runs.ts";
import type { ProduceDeps } from "./ports.ts";

/** Renews the lease, hears of a stop asked for elsewhere, and ends a run that nobody reads or that takes too long. */
export interface Watch {
  /** Something of worth was produced: it is written down now. */
  note(): void;
  end(): void;
}

/**
 * Starts watching a run. `worth` returns the credits its output is worth so far. Call `end()` once the run is settled;
 * failures are logged, never thrown.
 */
export function watchRun(deps: ProduceDeps, active: ActiveRun, worth: () => number): Watch {
  const { timings } = deps;
  const over = new AbortController();
  const waiter = createWaiter(over.signal);
  const tooLong = setTimeout(() => active.stop("tooLong"), timings.maxRunMs);
  tooLong.unref();
  let readerSeenAtMs = performance.now();
  let heardOfReader = false;

  async function tick(): Promise<void> {
    const lease = { leaseMs: timings.leaseMs, producedCredits: worth() };
    const state = await deps.store.renewLease(active.run.id, lease);
    if (state === "stopRequested") active.stop("stopped");
    // Taken for dead and ended by another instance: what is produced from now on is nobody's.
    if (state === "ended") active.stop("leaseLost");
    const readAt = await deps.output.lastReaderAt(active.run.id);
    // Undefined: Redis cannot say whether somebody reads on another instance, so somebody may. Null after a time: it was
    // emptied. Either way a reader has the whole grace to be heard of again.
    const isUnknown = readAt === undefined || (readAt === null && heardOfReader);
    heardOfReader = typeof readAt === "number";
    readerSeenAtMs = isUnknown ? performance.now() : Math.max(readerSeenAtMs, readAt ?? 0);
    if (performance.now() - readerSeenAtMs > timings.readerGraceMs) active.stop("abandoned");
  }

  // One tick after another: of two at once the older could write its lower figure last.
  async function loop(): Promise<void> {
    for (;;) {
      await waiter.wait(timings.tickMs);
      if (over.signal.aborted) return;
      await tick().catch((error: unknown) => {
        // Whoever was cut off could not come back meanwhile: a database that is away refuses every new stream.
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
