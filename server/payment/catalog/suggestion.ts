// The one rule for suggesting a package to a user who is short of credits.

interface Offer {
  readonly id: string;
  readonly credits: number;
  readonly price: number;
}

/** Returns the smallest of `offers` that covers the shortfall, else the largest (the cheaper of equals), if any. */
export function suggestedPackage<Package extends Offer>(
  offers: readonly Package[],
  shortfallCredits: number,
): Package | undefined {
  const cheapest = (a: Offer, b: Offer) => a.price - b.price || (a.id < b.id ? -1 : 1);
  const enough = offers
    .filter((offer) => offer.credits >= shortfallCredits)
    .sort((a, b) => a.credits - b.credits || cheapest(a, b));
  return enough[0] ?? [...offers].sort((a, b) => b.credits - a.credits || cheapest(a, b))[0];
}
