// Adjust: an administrator's correction, and moving the debt of an erased account. Either way, into debt if need be.
import { AppError, invalidField } from "../../lib/errors.ts";
import type { Account } from "../model/account.ts";
import type { Effect, OperationContext } from "../model/operation-effect.ts";
import type { AdjustOperation, CarryDebtOperation } from "../ports.ts";
import { addCredits } from "./grant.ts";
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
  if (account.deleted) throw AppError.of("NOT_FOUND", "There is no such user.");
  const { actorId: sourceId, reason: description, amountCredits, expiresAt } = operation;
  const terms = { type: "ADMIN_ADJUST" as const, description, sourceId };
  if (amountCredits < 0)
    return takeCredits(account, { ...terms, amountCredits: -amountCredits }, context);
  if (expiresAt !== null && expiresAt.getTime() <= context.nowMs)
    throw invalidField(
      "expiresAt",
      "Name a moment in the future.",
      "These credits would have expired already.",
    );
  const grantKey = `adjust:${context.operationId}`;
  return addCredits(account, { ...terms, amountCredits, expiresAt, grantKey }, context);
}

/** Debt leaves an erased account (positive) or arrives at its person's new one (negative). */
export function carryDebt(
  account: Account,
  operation: CarryDebtOperation,
  context: OperationContext,
): Effect {
  const { sourceId, amountCredits } = operation;
  const description = "Debt of a deleted account";
  const terms = { type: "ADMIN_ADJUST" as const, description, sourceId };
  if (amountCredits < 0)
    return takeCredits(account, { ...terms, amountCredits: -amountCredits }, context);
  const grantKey = `debt:${context.operationId}`;
  return addCredits(account, { ...terms, amountCredits, expiresAt: null, grantKey }, context);
}
