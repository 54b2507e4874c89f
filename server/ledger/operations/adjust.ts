// Adjust: an administrator's correction, or moving the debt of an erased account. Both may end in debt.
import { invalidField, notFound } from "../../lib/errors.ts";
import type { Account } from "../model/account.ts";
import type { Effect, OperationContext } from "../model/operation-effect.ts";
import type { AdjustOperation, CarryDebtOperation } from "../ports.ts";
import { addCredits, type CreditTerms } from "./grant.ts";
import { takeCredits } from "./take-back.ts";

/**
 * Gives credits (as a separate lot) or takes them (from the lots in spend order, the rest as debt).
 * Throws NOT_FOUND for a deleted account, VALIDATION_FAILED when the given credits would already have expired.
 */
export function adjust(
  account: Account,
  operation: AdjustOperation,
  context: OperationContext,
): Effect {
  if (account.deleted) throw notFound("user");
  const { actorId: sourceId, reason: description, expiresAt } = operation;
  if (operation.amountCredits > 0 && expiresAt !== null && expiresAt.getTime() <= context.nowMs)
    throw invalidField(
      "expiresAt",
      "Name a moment in the future.",
      "These credits would have expired already.",
    );
  const grantKey = `adjust:${context.operationId}`;
  return addOrTake(account, { ...operation, sourceId, description, grantKey }, context);
}

/** Takes debt off an erased account (positive amount) or adds it to the same person's new one (negative). */
export function carryDebt(
  account: Account,
  operation: CarryDebtOperation,
  context: OperationContext,
): Effect {
  const description = "Debt of a deleted account";
  const grantKey = `debt:${context.operationId}`;
  return addOrTake(account, { ...operation, description, expiresAt: null, grantKey }, context);
}

/** Takes credits if the amount is negative, otherwise adds them. */
function addOrTake(
  account: Account,
  terms: Omit<CreditTerms, "type">,
  context: OperationContext,
): Effect {
  const { amountCredits } = terms;
  const type = "ADMIN_ADJUST";
  return amountCredits < 0
    ? takeCredits(account, { ...terms, type, amountCredits: -amountCredits }, context)
    : addCredits(account, { ...terms, type }, context);
}
