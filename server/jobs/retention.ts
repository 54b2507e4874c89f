import { DAY_MS } from "../lib/time.ts";
import { runInBatches } from "./run-in-batches.ts";
import type { RetainedRows, RetentionStore } from "./retention.store.ts";
import type { Job } from "./runner.ts";

/** Dependencies of these jobs. */
export interface RetentionDeps {
  readonly store: RetentionStore;
  /** Milliseconds since 1970. A clock that runs ahead would delete rows that are still needed. */
  readonly now: () => number | Promise<number>;
}

/** How long the rows of a table are kept, and the job that then deletes them. */
export interface Retention extends RetainedRows {
  readonly job: string;
  readonly days: number;
  readonly everySeconds: number;
}

/** Everything that is deleted by age. To add a table, add a line; `since` must be the first column of an index. */
export const RETENTIONS: readonly Retention[] = [
  // One row per keyed operation: at a thousand a second, 300,000 fall due between two runs.
  { job: "prune-keys", table: "idempotency_keys", since: "createdAt", days: 90, everySeconds: 300 },
  {
    job: "sessions-prune",
    table: "sessions",
    since: "absoluteExpiresAt",
    days: 1,
    everySeconds: 3_600,
  },
  {
    job: "stripe-events-prune",
    table: "stripe_events",
    since: "receivedAt",
    days: 90,
    everySeconds: 3_600,
  },
  // A day longer than the ledger keeps the key of the run's hold, so that a repeated start that still finds the key
  // always finds the run, too.
  { job: "ai-runs-prune", table: "ai_runs", since: "endedAt", days: 91, everySeconds: 3_600 },
];

/** Deletes the rows past their retention in batches, until none is left or `signal` aborts. */
export async function deleteExpired(
  { store, now }: RetentionDeps,
  retention: Retention,
  signal: AbortSignal,
) {
  const before = new Date((await now()) - retention.days * DAY_MS);
  const { rows, isDone } = await runInBatches(signal, async (size) => {
    const deleted = await store.deleteOldest(retention, before, size);
    return { rows: deleted, isLast: deleted < size };
  });
  const oldest = isDone ? null : await store.oldest(retention);
  const lagMs = oldest === null ? 0 : before.getTime() - oldest.getTime();
  return { rows, lagSeconds: Math.max(0, Math.round(lagMs / 1000)) };
}

/** Returns one job for each line of RETENTIONS. */
export function retentionJobs(deps: RetentionDeps): Job[] {
  return RETENTIONS.map((retention) => ({
    name: retention.job,
    everySeconds: retention.everySeconds,
    // An hour of batches and pauses. Whatever is left then is reported as lag, and the next run continues.
    maxSeconds: 3_600,
    firstAfterSeconds: Math.min(600, retention.everySeconds),
    run: (signal) => deleteExpired(deps, retention, signal),
  }));
}
