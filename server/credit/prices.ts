// The price table and its version. Each charge stores the version it was made under.
import { createHash } from "node:crypto";
import { FEATURES, type Feature } from "../../shared/src/features.ts";

/** Credits per call of each feature. */
export type Prices = Readonly<Record<Feature, number>>;

/** The prices, and the version that each charge stores. */
export interface FeaturePrices {
  readonly credits: Prices;
  readonly version: string;
}

/** Returns the prices in the contract's order of features. */
export function priceTable(prices: Prices): { feature: Feature; credits: number }[] {
  return FEATURES.map((feature) => ({ feature, credits: prices[feature] }));
}

/** Returns 12 hex digits that change only when a price does: the same on every instance and after every restart. */
export function priceVersion(prices: Prices): string {
  return createHash("sha256")
    .update(JSON.stringify(priceTable(prices)))
    .digest("hex")
    .slice(0, 12);
}
