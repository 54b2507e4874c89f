// Reading a balance: from the cache when that is certainly current, otherwise from the database.
import type { Cache } from "../kv/ports.ts";
import { notFound } from "../lib/errors.ts";
import { balanceKey, MAX_READ_MS, TOMBSTONE } from "../ledger/balance-cache.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Balance, BalanceRecord } from "./credit.types.ts";
import type { CreditStore } from "./ports.ts";

const CACHE_SECONDS = 10;

/** Reads balances. */
export interface Balances {
  /** Returns the balance, from the cache if possible. Throws NOT_FOUND. */
  get(userId: string): Promise<Balance>;
  /** Returns the balance from the database, after expiring what is overdue. Throws NOT_FOUND. */
  read(userId: string): Promise<BalanceRecord>;
}

/** Dependencies of reading balances. */
export interface BalancesDeps {
  readonly store: Pick<CreditStore, "balance">;
  readonly ledger: Ledger;
  readonly cache: Cache | null;
  readonly now: () => number;
}

/** Returns a reader whose cache is invalidated by server/ledger/balance-cache.ts. */
export function createBalances(deps: BalancesDeps): Balances {
  return {
    get: (userId) => getBalance(deps, userId),
    read: (userId) => readBalance(deps, userId),
  };
}

async function getBalance(deps: BalancesDeps, userId: string): Promise<Balance> {
  const { cache, now } = deps;
  if (cache === null) return toBalance(await readBalance(deps, userId));
  const key = balanceKey(userId);
  const cached = await cache.get(key);
  if (cached !== undefined && cached !== TOMBSTONE) return JSON.parse(cached) as Balance;
  const startedAt = performance.now();
  const record = await readBalance(deps, userId);
  const balance = toBalance(record);
  const seconds = cacheSeconds(record, now());
  // Set-if-absent, so that a change's tombstone stays, and only if the read was quick: see ledger/balance-cache.ts.
  if (cached === undefined && seconds > 0 && performance.now() - startedAt < MAX_READ_MS)
    // Not awaited: if it fails, the next read is just a miss.
    void cache.setIfAbsent(key, JSON.stringify(balance), seconds);
  return balance;
}

async function readBalance(deps: BalancesDeps, userId: string): Promise<BalanceRecord> {
  const record = await findBalance(deps.store, userId);
  if (!isOverdue(record, deps.now())) return record;
  // The expiry job has not run yet. Expire what is overdue now, so that it is never shown.
  await deps.ledger.submit({ kind: "expireLots", userId });
  return findBalance(deps.store, userId);
}

async function findBalance(
  store: Pick<CreditStore, "balance">,
  userId: string,
): Promise<BalanceRecord> {
  const record = await store.balance(userId);
  if (record === null) throw notFound("user");
  return record;
}

function isOverdue(record: BalanceRecord, nowMs: number): boolean {
  if (record.nextHoldEndsAtMs !== null && record.nextHoldEndsAtMs <= nowMs) return true;
  const expired = record.lots.some(
    ({ expiresAtMs }) => expiresAtMs !== null && expiresAtMs <= nowMs,
  );
  return expired && record.credits > record.held;
}

/** Returns how long to cache: at most until the next expiry of a hold or a lot changes the balance. */
function cacheSeconds(record: BalanceRecord, nowMs: number): number {
  const ends = [record.nextHoldEndsAtMs, ...record.lots.map((lot) => lot.expiresAtMs)];
  const next = Math.min(...ends.filter((end) => end !== null));
  return Math.min(CACHE_SECONDS, Math.floor((next - nowMs) / 1000));
}

function toBalance({ credits, held, lots }: BalanceRecord): Balance {
  return {
    credits,
    held,
    available: credits - held,
    grants: lots.map(({ id, source, remaining, expiresAtMs }) => ({
      id,
      source,
      remaining,
      expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    })),
  };
}
