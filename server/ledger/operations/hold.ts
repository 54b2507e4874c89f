// The life cycle of a hold: reserve, then exactly one of settle, release or expiry (expire.ts).
import { AppError, invalidField } from "../../lib/errors.ts";
import { type Account, append, type Entry, type Hold, type UsageRow } from "../model/account.ts";
import { countActive, endHolds, findHold, requireActive } from "../model/holds.ts";
import { freeCreditsIn, mergeShares, pick, withoutShares } from "../model/lots.ts";
import { draftEntry, type Effect, type OperationContext } from "../model/operation-effect.ts";
import type { ReleaseOperation, ReserveOperation, SettleOperation, UsageFacts } from "../ports.ts";
import { expireOverdue } from "./expire.ts";
import { pickAvailable, requireSpender } from "./spend.ts";

/** Holds credits from the free credits of the lots, in spend order. Throws as `spend` does, and RATE_LIMITED. */
export function reserve(
  account: Account,
  operation: ReserveOperation,
  context: OperationContext,
): Effect {
  requireSpender(account);
  checkScopeLimit(account, operation);
  const shares = pickAvailable(account, operation.amountCredits);
  const hold: Hold = {
    id: context.operationId,
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
    expiresAtMs: context.nowMs + operation.ttlSeconds * 1000,
    createdAtMs: context.nowMs,
    endedAtMs: null,
  };
  return {
    account: { ...account, held: account.held + hold.amount, holds: [...account.holds, hold] },
    amountCredits: hold.amount,
    transactionId: null,
    priceVersion: hold.priceVersion,
    hold: { holdId: hold.id, expiresAt: new Date(hold.expiresAtMs) },
  };
}

/** Throws RATE_LIMITED when the user already has `scopeLimit` ACTIVE holds in the key's scope. */
function checkScopeLimit(account: Account, operation: ReserveOperation): void {
  if (operation.scopeLimit === undefined) return;
  const scope = operation.idempotencyKey.slice(0, operation.idempotencyKey.indexOf(":") + 1);
  if (countActive(account.holds, scope) < operation.scopeLimit) return;
  throw AppError.of(
    "RATE_LIMITED",
    `At most ${operation.scopeLimit} calls may run at once. Wait for one to end.`,
    { retryAfterSeconds: 1 },
  );
}

/** Takes 0..held credits and ends the hold. Throws NOT_FOUND, HOLD_NOT_ACTIVE, VALIDATION_FAILED for more than held. */
export function settle(
  account: Account,
  operation: SettleOperation,
  context: OperationContext,
): Effect {
  const hold = findHold(account, operation.holdId);
  const priceVersion = hold.priceVersion;
  if (hold.endedBy === context.operationId)
    return {
      account,
      amountCredits: hold.settledAmount ?? 0,
      transactionId: hold.transactionId,
      priceVersion,
    };
  requireActive(hold);
  const amountCredits = operation.amountCredits ?? hold.amount;
  if (amountCredits > hold.amount)
    throw invalidField(
      "amount",
      `At most ${hold.amount}.`,
      `At most the ${hold.amount} held credits can be taken.`,
    );
  const charged = chargeHold(account, hold, amountCredits, context);
  const after = expireOverdue(charged.account, context);
  const usage = operation.usage ?? {
    model: null,
    durationMs: Math.max(0, context.nowMs - hold.createdAtMs),
    success: true,
    error: null,
  };
  return {
    account: after.account,
    entries: [...charged.entries, ...after.entries],
    usage: usageOf(hold, usage, amountCredits, context),
    amountCredits,
    transactionId: amountCredits === 0 ? null : context.operationId,
    priceVersion,
  };
}

/**
 * Charges a hold: first from the lots it covers, then, if a refund has emptied those meanwhile, from the other lots,
 * and the rest as debt, because the work was done on the promise of the hold. `available` does not decrease.
 */
function chargeHold(
  account: Account,
  hold: Hold,
  amountCredits: number,
  context: OperationContext,
): { readonly account: Account; readonly entries: readonly Entry[] } {
  const { operationId, nowMs } = context;
  const transactionId = amountCredits === 0 ? null : operationId;
  const end = { settledAmount: amountCredits, transactionId, endedBy: operationId };
  const ended = endHolds(account, [hold], { status: "SETTLED", ...end }, nowMs);
  if (transactionId === null) return { account: ended, entries: [] };
  const own = new Map(hold.lots);
  const first = pick(ended.lots, amountCredits, (lot) =>
    Math.min(lot.remaining, own.get(lot.id) ?? 0),
  );
  let lots = withoutShares(ended.lots, first.shares);
  const second = pick(lots, amountCredits - first.total, freeCreditsIn(ended.holds));
  lots = withoutShares(lots, second.shares);
  const third = pick(lots, amountCredits - first.total - second.total, (lot) => lot.remaining);
  lots = withoutShares(lots, third.shares);
  const shares = mergeShares(first.shares, second.shares, third.shares);
  const { account: charged, entry } = append(
    { ...ended, lots },
    {
      ...draftEntry(context, -amountCredits, shares),
      type: "USAGE",
      feature: hold.feature,
      priceVersion: hold.priceVersion,
      sourceId: hold.id,
    },
  );
  return { account: charged, entries: [entry] };
}

/** Ends a hold without taking anything. Throws NOT_FOUND, HOLD_NOT_ACTIVE. */
export function release(
  account: Account,
  operation: ReleaseOperation,
  context: OperationContext,
): Effect {
  const hold = findHold(account, operation.holdId);
  if (hold.endedBy === context.operationId)
    return { account, amountCredits: 0, transactionId: null };
  requireActive(hold);
  const end = { settledAmount: null, transactionId: null, endedBy: context.operationId };
  const ended = endHolds(account, [hold], { status: "RELEASED", ...end }, context.nowMs);
  const after = expireOverdue(ended, context);
  const usage = operation.usage && usageOf(hold, operation.usage, 0, context);
  return { ...after, ...(usage && { usage }), amountCredits: 0, transactionId: null };
}

function usageOf(
  hold: Hold,
  facts: UsageFacts,
  credits: number,
  context: OperationContext,
): UsageRow {
  return {
    ...facts,
    id: context.operationId,
    userId: hold.userId,
    feature: hold.feature ?? "other",
    credits,
    createdAtMs: context.nowMs,
  };
}
