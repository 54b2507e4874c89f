// Grant: credits come in as a separate lot, after paying any debt.
import { AppError, invalidField } from "../../lib/errors.ts";
import {
  type Account,
  append,
  type Entry,
  type Lot,
  MAX_BALANCE_CREDITS,
} from "../model/account.ts";
import { addLot } from "../model/lots.ts";
import { draftEntry, type Effect, type OperationContext } from "../model/operation-effect.ts";
import type { GrantOperation } from "../ports.ts";

/** The credits that come in, and the fields of their entry and lot. */
export interface CreditTerms extends Pick<Entry, "type" | "description" | "sourceId"> {
  readonly amountCredits: number;
  readonly expiresAt: Date | null;
  readonly grantKey: string;
}

/**
 * Adds credits, once per grantKey. A repeat returns the first lot's amount and id with the current balance.
 * Throws IDEMPOTENCY_CONFLICT when the key was granted on other terms, VALIDATION_FAILED above the largest balance.
 */
export function grant(
  account: Account,
  operation: GrantOperation,
  context: OperationContext,
): Effect {
  const { storedGrant: stored, operationId } = context;
  if (stored === undefined)
    return addCredits(account, { ...operation, type: operation.source }, context);
  const same =
    stored.userId === operation.userId &&
    stored.amount === operation.amountCredits &&
    stored.source === operation.source;
  if (!same)
    throw AppError.of("IDEMPOTENCY_CONFLICT", "This grant was made before with other terms.");
  const replayed = stored.id !== operationId;
  return { account, amountCredits: stored.amount, transactionId: stored.id, replayed };
}

/** Adds a lot and its entry. Throws VALIDATION_FAILED above the largest balance. */
export function addCredits(
  account: Account,
  terms: CreditTerms,
  context: OperationContext,
): Effect {
  const { amountCredits, type, description, sourceId } = terms;
  if (account.credits + amountCredits > MAX_BALANCE_CREDITS)
    throw invalidField(
      "amount",
      `A balance may hold ${MAX_BALANCE_CREDITS} credits at most.`,
      "The balance would grow too large.",
    );
  // Debt is paid first, so only the rest of the grant remains in the lot to be spent.
  const remaining = Math.max(0, amountCredits - Math.max(0, -account.credits));
  const lot: Lot = {
    id: context.operationId,
    userId: account.userId,
    amount: amountCredits,
    remaining,
    source: type,
    sourceId,
    grantKey: terms.grantKey,
    expiresAtMs: terms.expiresAt?.getTime() ?? null,
    createdAtMs: context.nowMs,
  };
  const { account: after, entry } = append(addLot(account, lot), {
    ...draftEntry(context, amountCredits, [[lot.id, remaining]]),
    type,
    description,
    sourceId,
  });
  return { account: after, entries: [entry], amountCredits, transactionId: entry.id };
}
