// The default price of each feature, so that a new feature needs no change in the tests.
import { FEATURE_TABLE, FEATURES, type Feature } from "../../shared/src/features.ts";

export const COSTS = Object.fromEntries(
  FEATURES.map((feature) => [feature, FEATURE_TABLE[feature].defaultPriceCredits]),
) as Record<Feature, number>;
