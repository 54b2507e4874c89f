// Expiry: holds past their time, credits past theirs, idempotency keys after 90 days.
import type { ExpiryStore } from "../ledger/store/expiry.store.ts";
import type { Ledger, LedgerOperation } from "../ledger/ports.ts";
import type { Job } from "./runner.ts";

/** Dependencies of these jobs. */
export interface ExpiryDeps {
  readonly store: ExpiryStore;
  readonly ledger: Pick<Ledger, "submit">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const PAGE = 200;
const KEYS_PER_STATEMENT = 500;
/** A run stops after so many; the next one goes on. */
const MAX_PER_RUN = 20_000;
const KEY_LIFE_MS = 90 * 86_400_000;

type Find = (nowMs: number, afterUserId: string, limit: number) => Promise<string[]>;

/** Submits one operation per user found, a page at a time; users whose operation fails wait for the next run. */
async function sweep(
  deps: ExpiryDeps,
  find: Find,
  kind: Extract<LedgerOperation["kind"], "expireHolds" | "expireLots">,
  signal: AbortSignal,
): Promise<{ users: number; failed: number }> {
  let users = 0;
  let failed = 0;
  let after = "";
  while (users < MAX_PER_RUN && !signal.aborted) {
    const page = await find(deps.now(), after, PAGE);
    const done = await Promise.allSettled(
      page.map((userId) => deps.ledger.submit({ kind, userId })),
    );
    users += page.length;
    failed += done.filter(({ status }) => status === "rejected").length;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    after = last;
  }
  return { users, failed };
}

/** Releases holds past their time. Returns how many users had some. */
export function expireHolds(deps: ExpiryDeps, signal: AbortSignal) {
  return sweep(deps, (...args) => deps.store.usersWithOverdueHolds(...args), "expireHolds", signal);
}

/** Takes credits past their time, except those under a hold. Returns how many users had some. */
export function expireLots(deps: ExpiryDeps, signal: AbortSignal) {
  return sweep(deps, (...args) => deps.store.usersWithExpiredLots(...args), "expireLots", signal);
}

/** Forgets idempotency keys after 90 days (DESIGN.md 4). Returns how many. */
export async function pruneKeys({ store, now }: ExpiryDeps, signal: AbortSignal): Promise<number> {
  let pruned = 0;
  while (pruned < MAX_PER_RUN && !signal.aborted) {
    const count = await store.pruneKeys(now() - KEY_LIFE_MS, KEYS_PER_STATEMENT);
    pruned += count;
    if (count < KEYS_PER_STATEMENT) break;
  }
  return pruned;
}

/** The jobs. Balances are exact between their runs, too: the ledger sweeps a user before every decision. */
export function expiryJobs(deps: ExpiryDeps): Job[] {
  return [
    {
      name: "expire-holds",
      everySeconds: 60,
      maxSeconds: 300,
      run: (signal) => expireHolds(deps, signal),
    },
    {
      name: "expire-lots",
      everySeconds: 300,
      maxSeconds: 600,
      run: (signal) => expireLots(deps, signal),
    },
    {
      name: "prune-keys",
      everySeconds: 3_600,
      maxSeconds: 600,
      run: async (signal) => ({ pruned: await pruneKeys(deps, signal) }),
    },
  ];
}
