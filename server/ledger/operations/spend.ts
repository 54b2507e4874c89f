// Spend: takes credits immediately, in spend order, for one use of a feature. Never into debt.
import { AppError, assert, notFound } from "../../lib/errors.ts";
import { type Account, append, availableCredits, type LotShare } from "../model/account.ts";
import { freeCreditsIn, pick, withoutShares } from "../model/lots.ts";
import { draftEntry, type Effect, type OperationContext } from "../model/operation-effect.ts";
import type { SpendOperation } from "../ports.ts";

/**
 * Takes the credits and records the usage. Throws NOT_FOUND for a deleted account, FORBIDDEN for a disabled one,
 * INSUFFICIENT_CREDITS when `available` is too small.
 */
export function spend(
  account: Account,
  operation: SpendOperation,
  context: OperationContext,
): Effect {
  requireSpender(account);
  const shares = pickAvailable(account, operation.amountCredits);
  const { account: after, entry } = append(
    { ...account, lots: withoutShares(account.lots, shares) },
    {
      ...draftEntry(context, -operation.amountCredits, shares),
      type: "USAGE",
      feature: operation.feature,
      priceVersion: operation.priceVersion,
      metadata: operation.metadata === undefined ? null : JSON.stringify(operation.metadata),
    },
  );
  return {
    account: after,
    entries: [entry],
    usage: {
      id: context.operationId,
      userId: account.userId,
      feature: operation.feature,
      credits: operation.amountCredits,
      model: null,
      durationMs: 0,
      success: true,
      error: null,
      createdAtMs: context.nowMs,
    },
    amountCredits: operation.amountCredits,
    transactionId: entry.id,
    priceVersion: operation.priceVersion,
  };
}

/** Throws NOT_FOUND for a deleted account, FORBIDDEN for a disabled one. */
export function requireSpender(account: Account): void {
  if (account.deleted) throw notFound("user");
  if (account.disabled) throw AppError.of("FORBIDDEN", "This account is disabled.");
}

/**
 * Returns shares of the lots, in spend order, that come to `amountCredits` and that no hold covers.
 * Throws INSUFFICIENT_CREDITS, to which the caller adds the suggested package.
 */
export function pickAvailable(account: Account, amountCredits: number): readonly LotShare[] {
  const available = availableCredits(account);
  if (available < amountCredits) {
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
  const { shares, total } = pick(account.lots, amountCredits, freeCreditsIn(account.holds));
  assert(total === amountCredits, "available credits lie free in open lots");
  return shares;
}
