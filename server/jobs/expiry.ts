import type { Due, ExpiryStore } from "../ledger/store/expiry.store.ts";
import type { Ledger, LedgerOperation } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { runInBatches } from "./run-in-batches.ts";
import type { Job } from "./runner.ts";

/** Dependencies of these jobs. */
export interface ExpiryDeps {
  readonly store: ExpiryStore;
  readonly ledger: Pick<Ledger, "submit">;
  readonly logger: Logger;
  /** Milliseconds since 1970. Must not be ahead of the ledger's clock, or the ledger would not expire what is found. */
  readonly now: () => number | Promise<number>;
}

// A batch here becomes one or two of the ledger's. Larger ones would make spends wait.
const PACE = { rows: 100, minRows: 20, maxRows: 200, batchMs: 100, pauseRatio: 1 };

type Find = (nowMs: number, after: Due | null, limit: number) => Promise<Due[]>;

/** Submits one operation per user found, longest overdue first. Users whose operation fails wait for the next run. */
async function expireDue(
  deps: ExpiryDeps,
  find: Find,
  kind: Extract<LedgerOperation["kind"], "expireHolds" | "expireLots">,
  signal: AbortSignal,
) {
  const nowMs = await deps.now();
  let failed = 0;
  let users = 0;
  let last: Due | null = null;
  const { isDone } = await runInBatches(
    signal,
    async (size) => {
      const page: Due[] = await find(nowMs, last, size);
      const userIds = [...new Set(page.map(({ userId }) => userId))];
      const done = await Promise.allSettled(
        userIds.map((userId) => deps.ledger.submit({ kind, userId })),
      );
      users += userIds.length;
      const refused = done.flatMap((one, index) =>
        one.status === "rejected" ? [{ err: one.reason as unknown, userId: userIds[index] }] : [],
      );
      failed += refused.length;
      // One line per batch: a cause that fails every operation would flood the log.
      if (refused.length > 0)
        deps.logger.warn({ kind, failed: refused.length, ...refused[0] }, "not expired");
      last = page.at(-1) ?? last;
      return { rows: page.length, isLast: page.length < size };
    },
    PACE,
  );
  const [next] = isDone ? [] : await find(nowMs, last, 1);
  const lagMs = next === undefined ? 0 : nowMs - next.dueAtMs;
  return { rows: users, failed, lagSeconds: Math.round(lagMs / 1000) };
}

/** Ends expired holds. Returns how many users had any. */
export function expireHolds(deps: ExpiryDeps, signal: AbortSignal) {
  return expireDue(deps, deps.store.overdueHolds, "expireHolds", signal);
}

/** Takes expired credits, except those under a hold. Returns how many users had expired lots. */
export function expireLots(deps: ExpiryDeps, signal: AbortSignal) {
  return expireDue(deps, deps.store.expiredLots, "expireLots", signal);
}

/** Returns the jobs. Balances are exact between runs, too: the ledger expires what is due before each decision. */
export function expiryJobs(deps: ExpiryDeps): Job[] {
  return [
    {
      name: "expire-holds",
      everySeconds: 60,
      maxSeconds: 3_600,
      run: (signal) => expireHolds(deps, signal),
    },
    {
      name: "expire-lots",
      everySeconds: 300,
      maxSeconds: 3_600,
      run: (signal) => expireLots(deps, signal),
    },
  ];
}
