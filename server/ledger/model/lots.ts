// Lots: in which order they are spent, which credits are free, what expires when.
import type { Account, Hold, Lot, LotShare } from "./account.ts";
import { availableCredits } from "./account.ts";

const BOUGHT = "PURCHASE";

/** What the spend order looks at. */
type OrderedLot = Pick<Lot, "id" | "source" | "expiresAtMs" | "createdAtMs">;

/** The spend order (docs/concepts.md, "Lot"): soonest-expiring first, then granted before bought, then oldest (id breaks ties). */
export function bySpendOrder(a: OrderedLot, b: OrderedLot): number {
  const expiry = (a.expiresAtMs ?? Infinity) - (b.expiresAtMs ?? Infinity);
  // Infinity - Infinity is NaN: neither expires.
  if (expiry !== 0 && !Number.isNaN(expiry)) return expiry;
  const bought = Number(a.source === BOUGHT) - Number(b.source === BOUGHT);
  if (bought !== 0) return bought;
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs;
  return a.id < b.id ? -1 : 1;
}

/** Credits of each lot that ACTIVE holds cover. */
function heldByLot(holds: readonly Hold[]): ReadonlyMap<string, number> {
  const held = new Map<string, number>();
  for (const hold of holds) {
    if (hold.status !== "ACTIVE") continue;
    for (const [lotId, credits] of hold.lots) held.set(lotId, (held.get(lotId) ?? 0) + credits);
  }
  return held;
}

/** Up to `wanted` credits from `lots` in order, at most `limit(lot)` of each. May come to less than wanted. */
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

/** A limit for `pick`: what no hold covers. */
export function freeCreditsIn(holds: readonly Hold[]): (lot: Lot) => number {
  const held = heldByLot(holds);
  return (lot) => lot.remaining - (held.get(lot.id) ?? 0);
}

/** `lots` less `shares`. */
export function withoutShares(lots: readonly Lot[], shares: readonly LotShare[]): readonly Lot[] {
  if (shares.length === 0) return lots;
  const taken = new Map<string, number>();
  for (const [id, credits] of shares) taken.set(id, (taken.get(id) ?? 0) + credits);
  return lots.map((lot) => {
    const credits = taken.get(lot.id);
    return credits === undefined ? lot : { ...lot, remaining: lot.remaining - credits };
  });
}

/** Several picks as one list, a lot named once. */
export function mergeShares(...lists: readonly (readonly LotShare[])[]): LotShare[] {
  const merged = new Map<string, number>();
  for (const list of lists)
    for (const [id, credits] of list) merged.set(id, (merged.get(id) ?? 0) + credits);
  return [...merged];
}

/**
 * What has to expire at `nowMs`: the credits of lots past their time that no hold covers. Never more than is
 * available: where a refund cut the balance under a hold, that hold's credits may lie in any lot.
 */
export function expirable(account: Account, nowMs: number): { shares: LotShare[]; total: number } {
  const over = account.lots.filter(
    (lot) => lot.remaining > 0 && lot.expiresAtMs !== null && lot.expiresAtMs <= nowMs,
  );
  if (over.length === 0) return { shares: [], total: 0 };
  const most = Math.max(0, availableCredits(account));
  return pick(over, most, freeCreditsIn(account.holds));
}

/** Puts a new lot where the spend order wants it. */
export function addLot(account: Account, lot: Lot): Account {
  const place = account.lots.findIndex((other) => bySpendOrder(lot, other) < 0);
  const at = place === -1 ? account.lots.length : place;
  return { ...account, lots: account.lots.toSpliced(at, 0, lot) };
}
