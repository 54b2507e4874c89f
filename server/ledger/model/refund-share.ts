// How many of a purchase's credits a refund or a dispute takes back (docs/decisions/0042).

/** Returns floor(credits x part / paid), exactly: all credits once the whole price is back, none of a free purchase. */
export function creditShare(credits: number, partAmount: number, paidAmount: number): number {
  if (paidAmount <= 0 || partAmount <= 0 || credits <= 0) return 0;
  if (partAmount >= paidAmount) return credits;
  return Number((BigInt(credits) * BigInt(partAmount)) / BigInt(paidAmount));
}
