// Owns what a refund or a dispute takes back of a purchase (DESIGN.md 4, "Refunds and disputes").

/** A purchase as far as shares go. Money in minor units. */
export interface PurchaseShares {
  readonly creditsPurchased: number;
  readonly paidAmount: number;
  /** Credits taken back so far, by refunds and by open or lost disputes. */
  readonly takenCredits: number;
}

/** floor(credits x part / paid), in exact arithmetic; all of it from the whole price on, nothing of a free purchase. */
export function creditShare(credits: number, partAmount: number, paidAmount: number): number {
  if (paidAmount <= 0 || partAmount <= 0 || credits <= 0) return 0;
  if (partAmount >= paidAmount) return credits;
  return Number((BigInt(credits) * BigInt(partAmount)) / BigInt(paidAmount));
}

/**
 * Credits to take now so that the cumulative share of `refundedAmount` (all refunds so far together) is taken.
 * 0 when it has been taken already; partial refunds therefore add up without rounding twice.
 */
export function refundShare(purchase: PurchaseShares, refundedAmount: number): number {
  const share = creditShare(purchase.creditsPurchased, refundedAmount, purchase.paidAmount);
  return Math.max(0, share - purchase.takenCredits);
}

/** Credits to take when a dispute over `disputedAmount` opens: its share, at most what refunds have left. */
export function disputeShare(purchase: PurchaseShares, disputedAmount: number): number {
  const share = creditShare(purchase.creditsPurchased, disputedAmount, purchase.paidAmount);
  return Math.min(share, Math.max(0, purchase.creditsPurchased - purchase.takenCredits));
}
