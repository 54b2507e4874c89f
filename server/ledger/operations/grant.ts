// Owns what moves credits in and, by refund, dispute or an administrator, out again.
import { AppError } from "../../lib/errors.ts";
import {
  type Account,
  append,
  type Entry,
  type Lot,
  MAX_BALANCE_CREDITS,
} from "../model/account.ts";
import { draft, type Effect, type Facts } from "../model/operation-effect.ts";
import { addLot, freeIn, mergeShares, pick, without } from "../model/lots.ts";
import type {
  AdjustOperation,
  CarryDebtOperation,
  GrantOperation,
  TakeBackOperation,
} from "../ports.ts";

/**
 * Credits come in, once per grantKey. A repeat answers the first lot with the position of now.
 * Throws IDEMPOTENCY_CONFLICT when the same key was granted on other terms, VALIDATION_FAILED past the largest balance.
 */
export function grant(account: Account, operation: GrantOperation, facts: Facts): Effect {
  const { storedGrant: stored, operationId } = facts;
  if (stored !== undefined) {
    const same =
      stored.userId === operation.userId &&
      stored.amount === operation.amountCredits &&
      stored.source === operation.source;
    if (!same)
      throw AppError.of("IDEMPOTENCY_CONFLICT", "This grant was made before with other terms.");
    const replayed = stored.id !== operationId;
    return { account, amountCredits: stored.amount, transactionId: stored.id, replayed };
  }
  return give(account, operation, { type: operation.source, ...operation }, facts);
}

function give(
  account: Account,
  operation: Pick<GrantOperation, "amountCredits" | "expiresAt">,
  terms: Pick<Entry, "type" | "description" | "sourceId"> & { readonly grantKey: string },
  facts: Facts,
): Effect {
  const { amountCredits } = operation;
  if (account.credits + amountCredits > MAX_BALANCE_CREDITS)
    throw AppError.of("VALIDATION_FAILED", "The balance would grow too large.", {
      fields: { amount: [`A balance may hold ${MAX_BALANCE_CREDITS} credits at most.`] },
    });
  // Debt is paid first: only what is left of the grant becomes a lot that can be spent.
  const remaining = Math.max(0, amountCredits - Math.max(0, -account.credits));
  const lot: Lot = {
    id: facts.operationId,
    userId: account.userId,
    amount: amountCredits,
    remaining,
    source: terms.type,
    sourceId: terms.sourceId,
    grantKey: terms.grantKey,
    expiresAtMs: operation.expiresAt?.getTime() ?? null,
    createdAtMs: facts.nowMs,
  };
  const { account: after, entry } = append(addLot(account, lot), {
    ...draft(facts, amountCredits, [[lot.id, remaining]]),
    type: terms.type,
    description: terms.description,
    sourceId: terms.sourceId,
  });
  return { account: after, entries: [entry], amountCredits, transactionId: entry.id };
}

/** A refund or dispute takes its share: from the purchase's own lot, then the other lots, then debt. */
export function takeBack(account: Account, operation: TakeBackOperation, facts: Facts): Effect {
  const own = account.lots.filter((lot) => lot.grantKey === operation.grantKey);
  const { type, description, sourceId } = operation;
  const terms = { type, description, sourceId };
  return take(account, own, operation.amountCredits, terms, facts);
}

/**
 * An administrator gives (a lot of its own) or takes (lots in spend order, then debt).
 * Throws NOT_FOUND for a deleted account, VALIDATION_FAILED when what is given would be gone already.
 */
export function adjust(account: Account, operation: AdjustOperation, facts: Facts): Effect {
  if (account.deleted) throw AppError.of("NOT_FOUND", "There is no such user.");
  const { actorId: sourceId, reason: description, amountCredits } = operation;
  const terms = { type: "ADMIN_ADJUST" as const, description, sourceId };
  if (amountCredits < 0) return take(account, [], -amountCredits, terms, facts);
  if (operation.expiresAt !== null && operation.expiresAt.getTime() <= facts.nowMs)
    throw AppError.of("VALIDATION_FAILED", "These credits would have expired already.", {
      fields: { expiresAt: ["Name a moment in the future."] },
    });
  return give(account, operation, { ...terms, grantKey: `adjust:${facts.operationId}` }, facts);
}

/** Debt leaves an erased account (positive) or arrives at its person's new one (negative). */
export function carryDebt(account: Account, operation: CarryDebtOperation, facts: Facts): Effect {
  const { sourceId, amountCredits } = operation;
  const description = "Debt of a deleted account";
  const terms = { type: "ADMIN_ADJUST" as const, description, sourceId };
  if (amountCredits < 0) return take(account, [], -amountCredits, terms, facts);
  const lot = { amountCredits, expiresAt: null };
  return give(account, lot, { ...terms, grantKey: `debt:${facts.operationId}` }, facts);
}

/** Takes credits whether they are there or not: `first` lots, then the others, then debt. */
function take(
  account: Account,
  first: readonly Lot[],
  amountCredits: number,
  terms: Pick<Entry, "type" | "description" | "sourceId">,
  facts: Facts,
): Effect {
  if (account.credits - amountCredits < -MAX_BALANCE_CREDITS)
    throw AppError.of("VALIDATION_FAILED", "The debt would grow too large.", {
      fields: { amount: [`A debt may come to ${MAX_BALANCE_CREDITS} credits at most.`] },
    });
  const own = pick(first, amountCredits, (lot) => lot.remaining);
  const rest = without(account.lots, own.shares);
  const free = pick(rest, amountCredits - own.total, freeIn(account.holds));
  const unheld = without(rest, free.shares);
  const last = pick(unheld, amountCredits - own.total - free.total, (lot) => lot.remaining);
  const shares = mergeShares(own.shares, free.shares, last.shares);
  const { account: after, entry } = append(
    { ...account, lots: without(account.lots, shares) },
    { ...draft(facts, -amountCredits, shares), ...terms },
  );
  return { account: after, entries: [entry], amountCredits, transactionId: entry.id };
}
