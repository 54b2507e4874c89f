// The runs this process is producing, and how to stop each. The only real state in this folder.
import type { Run } from "./ai.types.ts";

/** Why a run is stopped before its model is done. */
export type StopReason = "stopped" | "abandoned" | "tooLong" | "tooMuch" | "leaseLost" | "shutdown";

/** A run under way in this process. */
export interface ActiveRun {
  readonly run: Run;
  readonly startedAtMs: number;
  readonly signal: AbortSignal;
  /** The first reason given; null while the run has not been stopped. */
  readonly stopReason: StopReason | null;
  /** Stops the run. Later reasons change nothing. */
  stop(reason: StopReason): void;
  /** Resolves when the run has ended and is settled, or was abandoned. */
  readonly done: Promise<void>;
}

/** All runs under way in this process. */
export interface ActiveRuns {
  readonly size: number;
  get(runId: string): ActiveRun | undefined;
  /** Starts `work` for the run and keeps it listed until it is done. */
  start(run: Run, work: (active: ActiveRun) => Promise<void>): ActiveRun;
  all(): readonly ActiveRun[];
}

/** Returns an empty list. */
export function createActiveRuns(): ActiveRuns {
  const runs = new Map<string, ActiveRun>();
  return {
    get size() {
      return runs.size;
    },
    get: (runId) => runs.get(runId),
    all: () => [...runs.values()],
    start(run, work) {
      const abort = new AbortController();
      let stopReason: StopReason | null = null;
      let finish: () => void = () => undefined;
      const done = new Promise<void>((resolve) => (finish = resolve));
      const active: ActiveRun = {
        run,
        startedAtMs: performance.now(),
        signal: abort.signal,
        get stopReason() {
          return stopReason;
        },
        stop(reason) {
          stopReason ??= reason;
          abort.abort();
        },
        done,
      };
      runs.set(run.id, active);
      void work(active).finally(() => {
        runs.delete(run.id);
        finish();
      });
      return active;
    },
  };
}
