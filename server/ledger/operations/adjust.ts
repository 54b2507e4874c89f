// Adjust: an administrator's correction, and moving the debt of an erased account. Either way, into debt if need be.
import { invalidField, notFound } from "../../lib/errors.ts";
import type { Account } from "../model/account.ts";
import type { Effect, OperationContext } from "../model/operation-effect.ts";
import type { AdjustOperation, CarryDebtOperation } from "../ports.ts";
import { addCredits, type CreditTerms } from "./grant.ts";
import { takeCredits } from "./take-back.ts";

/**
 * Gives (a lot of its own) or takes (lots in spend order, then debt).
 * Throws NOT_FOUND for a deleted account, VALIDATION_FAILED when what is given would be gone already.
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

/** Debt leaves an erased account (positive) or arrives at its person's new one (negative). */
export function carryDebt(
  account: Account,
  operation: CarryDebtOperation,
  context: OperationContext,
): Effect {
  const description = "Debt of a deleted account";
  const grantKey = `debt:${context.operationId}`;
  return addOrTake(account, { ...operation, description, expiresAt: null, grantKey }, context);
}

/** A negative amount is taken. */
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
