// What a refund or a dispute takes back of a purchase (docs/decisions/0042).

/** floor(credits x part / paid), in exact arithmetic; all of it from the whole price on, nothing of a free purchase. */
export function creditShare(credits: number, partAmount: number, paidAmount: number): number {
  if (paidAmount <= 0 || partAmount <= 0 || credits <= 0) return 0;
  if (partAmount >= paidAmount) return credits;
  return Number((BigInt(credits) * BigInt(partAmount)) / BigInt(paidAmount));
}
