// Owns the life of a hold: reserve, then one of settle, release and expire.
import { AppError, assert } from "../../lib/errors.ts";
import { type Account, append, availableCredits, type Entry, type Hold } from "../model/account.ts";
import { expirable, freeIn, mergeShares, pick, without } from "../model/lots.ts";
import type { ReserveOperation, SettleOperation } from "../ports.ts";

/** An account after a step, with the entries the step wrote. */
export interface Step {
  readonly account: Account;
  readonly entries: readonly Entry[];
}

/** Sets credits aside: from the free credits of the lots, in spend order. The caller has checked `available`. */
export function openHold(
  account: Account,
  operation: ReserveOperation,
  holdId: string,
  nowMs: number,
): { account: Account; hold: Hold } {
  const { shares, total } = pick(account.lots, operation.amountCredits, freeIn(account.holds));
  assert(total === operation.amountCredits, "available credits lie free in open lots");
  const hold: Hold = {
    id: holdId,
    userId: account.userId,
    amount: operation.amountCredits,
    status: "ACTIVE",
    settledAmount: null,
    feature: operation.feature,
    priceVersion: operation.priceVersion,
    idempotencyKey: operation.idempotencyKey,
    transactionId: null,
    lots: shares,
    endedBy: null,
    expiresAtMs: nowMs + operation.ttlSeconds * 1000,
    createdAtMs: nowMs,
    endedAtMs: null,
  };
  return {
    account: { ...account, held: account.held + hold.amount, holds: [...account.holds, hold] },
    hold,
  };
}

/** Throws RATE_LIMITED when the user has `scopeLimit` ACTIVE holds of the key's scope. */
export function checkScopeLimit(account: Account, operation: ReserveOperation): void {
  if (operation.scopeLimit === undefined) return;
  const scope = operation.idempotencyKey.slice(0, operation.idempotencyKey.indexOf(":") + 1);
  const active = account.holds.filter(
    (hold) => hold.status === "ACTIVE" && hold.idempotencyKey?.startsWith(scope),
  );
  if (active.length >= operation.scopeLimit)
    throw AppError.of(
      "RATE_LIMITED",
      `At most ${operation.scopeLimit} calls may run at once. Wait for one to end.`,
      { retryAfterSeconds: 1 },
    );
}

/** The user's hold `holdId`. NOT_FOUND when there is none (or it is another user's). */
export function findHold(account: Account, holdId: string): Hold {
  const hold = account.holds.find((candidate) => candidate.id === holdId);
  if (hold === undefined) throw AppError.of("NOT_FOUND", "There is no such hold.");
  return hold;
}

/** Throws HOLD_NOT_ACTIVE for a hold that ended before, naming how. */
export function requireActive(hold: Hold): void {
  if (hold.status === "ACTIVE") return;
  const how = { SETTLED: "was settled", RELEASED: "was released", EXPIRED: "has expired" };
  throw AppError.of("HOLD_NOT_ACTIVE", `This hold ${how[hold.status]} already.`);
}

/** Replaces `hold` and takes its credits off the account's held sum. */
export function endHold(
  account: Account,
  hold: Hold,
  end: Pick<Hold, "status" | "settledAmount" | "transactionId" | "endedBy">,
  nowMs: number,
): Account {
  const ended: Hold = { ...hold, ...end, endedAtMs: nowMs };
  return {
    ...account,
    held: account.held - hold.amount,
    holds: account.holds.map((candidate) => (candidate.id === hold.id ? ended : candidate)),
  };
}

/**
 * Charges a hold: from the lots it covers first; where a refund has emptied those meanwhile, from the other lots,
 * and past them into debt, because the work was done under a promise (`available` does not fall by it).
 */
export function chargeHold(
  account: Account,
  hold: Hold,
  operation: SettleOperation,
  amountCredits: number,
  operationId: string,
  nowMs: number,
): Step {
  const transactionId = amountCredits === 0 ? null : operationId;
  const ended = endHold(
    account,
    hold,
    { status: "SETTLED", settledAmount: amountCredits, transactionId, endedBy: operationId },
    nowMs,
  );
  if (transactionId === null) return { account: ended, entries: [] };
  const own = new Map(hold.lots);
  const first = pick(ended.lots, amountCredits, (lot) =>
    Math.min(lot.remaining, own.get(lot.id) ?? 0),
  );
  let lots = without(ended.lots, first.shares);
  const second = pick(lots, amountCredits - first.total, freeIn(ended.holds));
  lots = without(lots, second.shares);
  const third = pick(lots, amountCredits - first.total - second.total, (lot) => lot.remaining);
  lots = without(lots, third.shares);
  const { account: charged, entry } = append(
    { ...ended, lots },
    {
      id: transactionId,
      amount: -amountCredits,
      type: "USAGE",
      feature: hold.feature,
      description: null,
      lots: mergeShares(first.shares, second.shares, third.shares),
      priceVersion: hold.priceVersion,
      sourceId: operation.holdId,
      metadata: null,
      createdAtMs: nowMs,
    },
  );
  return { account: charged, entries: [entry] };
}

/**
 * Does what time has done: ends holds past their time, then takes expired credits as one EXPIRY entry. Runs before
 * every decision, so that nobody spends expired credits or is refused because of a dead hold, whether or not the
 * jobs have come round.
 */
export function sweep(account: Account, entryId: () => string, nowMs: number): Step {
  let current = account;
  for (const hold of account.holds) {
    if (hold.status !== "ACTIVE" || hold.expiresAtMs > nowMs) continue;
    const end = { settledAmount: null, transactionId: null, endedBy: null };
    current = endHold(current, hold, { status: "EXPIRED", ...end }, nowMs);
  }
  const { shares, total } = expirable(current, nowMs);
  if (total === 0) return { account: current, entries: [] };
  const { account: swept, entry } = append(
    { ...current, lots: without(current.lots, shares) },
    {
      id: entryId(),
      amount: -total,
      type: "EXPIRY",
      feature: null,
      description: "Credits expired",
      lots: shares,
      priceVersion: null,
      sourceId: null,
      metadata: null,
      createdAtMs: nowMs,
    },
  );
  return { account: swept, entries: [entry] };
}

/** Whether `available` covers `amountCredits`. Throws INSUFFICIENT_CREDITS; the caller adds a package to suggest. */
export function requireAvailable(account: Account, amountCredits: number): void {
  const available = availableCredits(account);
  if (available >= amountCredits) return;
  throw AppError.of(
    "INSUFFICIENT_CREDITS",
    `This needs ${amountCredits} credits and ${available} are available.`,
    {
      required: amountCredits,
      available,
      shortfall: amountCredits - available,
      suggestedPackageId: null,
    },
  );
}
