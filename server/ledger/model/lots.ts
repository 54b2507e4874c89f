// Lots: the order in which they are spent, which credits are free, and what has expired.
import type { Account, Hold, Lot, LotShare } from "./account.ts";
import { availableCredits } from "./account.ts";

const BOUGHT = "PURCHASE";

/** The fields that determine the spend order. */
type OrderedLot = Pick<Lot, "id" | "source" | "expiresAtMs" | "createdAtMs">;

/**
 * Compares lots by spend order (docs/concepts.md, "Lot"): soonest to expire first, then granted before bought, then
 * oldest first (ties broken by id).
 */
export function bySpendOrder(a: OrderedLot, b: OrderedLot): number {
  const expiry = (a.expiresAtMs ?? Infinity) - (b.expiresAtMs ?? Infinity);
  // NaN is Infinity - Infinity: neither lot expires.
  if (expiry !== 0 && !Number.isNaN(expiry)) return expiry;
  const bought = Number(a.source === BOUGHT) - Number(b.source === BOUGHT);
  if (bought !== 0) return bought;
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs;
  return a.id < b.id ? -1 : 1;
}

/** Returns how many credits of each lot are covered by ACTIVE holds. */
function heldByLot(holds: readonly Hold[]): ReadonlyMap<string, number> {
  const held = new Map<string, number>();
  for (const hold of holds) {
    if (hold.status !== "ACTIVE") continue;
    for (const [lotId, credits] of hold.lots) held.set(lotId, (held.get(lotId) ?? 0) + credits);
  }
  return held;
}

/** Picks up to `wanted` credits from `lots` in order, at most `limit(lot)` from each. May come to less than wanted. */
export function pick(
  lots: readonly Lot[],
  wanted: number,
  limit: (lot: Lot) => number,
): { shares: LotShare[]; total: number } {
  const shares: LotShare[] = [];
  let total = 0;
  for (const lot of lots) {
    if (total === wanted) break;
    const take = Math.min(wanted - total, limit(lot));
    if (take <= 0) continue;
    shares.push([lot.id, take]);
    total += take;
  }
  return { shares, total };
}

/** Returns a limit for `pick`: the credits of a lot that no hold covers. */
export function freeCreditsIn(holds: readonly Hold[]): (lot: Lot) => number {
  const held = heldByLot(holds);
  return (lot) => lot.remaining - (held.get(lot.id) ?? 0);
}

/** Returns `lots` with `shares` subtracted. */
export function withoutShares(lots: readonly Lot[], shares: readonly LotShare[]): readonly Lot[] {
  if (shares.length === 0) return lots;
  const taken = new Map<string, number>();
  for (const [id, credits] of shares) taken.set(id, (taken.get(id) ?? 0) + credits);
  return lots.map((lot) => {
    const credits = taken.get(lot.id);
    return credits === undefined ? lot : { ...lot, remaining: lot.remaining - credits };
  });
}

/** Merges several picks into one list that names each lot once. */
export function mergeShares(...lists: readonly (readonly LotShare[])[]): LotShare[] {
  const merged = new Map<string, number>();
  for (const list of lists)
    for (const [id, credits] of list) merged.set(id, (merged.get(id) ?? 0) + credits);
  return [...merged];
}

/**
 * Returns what has to expire at `nowMs`: the credits of expired lots that no hold covers. Never more than is available,
 * because after a refund has cut the balance under a hold, that hold's credits may lie in any lot.
 */
export function expirable(account: Account, nowMs: number): { shares: LotShare[]; total: number } {
  const over = account.lots.filter(
    (lot) => lot.remaining > 0 && lot.expiresAtMs !== null && lot.expiresAtMs <= nowMs,
  );
  if (over.length === 0) return { shares: [], total: 0 };
  const most = Math.max(0, availableCredits(account));
  return pick(over, most, freeCreditsIn(account.holds));
}

/** Inserts a new lot at its place in the spend order. */
export function addLot(account: Account, lot: Lot): Account {
  const place = account.lots.findIndex((other) => bySpendOrder(lot, other) < 0);
  const at = place === -1 ? account.lots.length : place;
  return { ...account, lots: account.lots.toSpliced(at, 0, lot) };
}
