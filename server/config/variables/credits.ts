// The environment variables of credits: what an account starts with, and the price of each feature in shared's table.
import { FEATURE_TABLE, FEATURES, type Feature } from "../../../shared/src/features.ts";
import { integer } from "../fields.ts";
import { defineGroup } from "../variable.ts";

const price = integer(1, 1_000_000);

interface PriceDefinition {
  readonly schema: typeof price;
  readonly default: string;
  readonly description: string;
}

const prices = Object.fromEntries(
  FEATURES.map((feature): [string, PriceDefinition] => {
    const { priceVariable, defaultPriceCredits } = FEATURE_TABLE[feature];
    const description = `Credits of one ${feature} call.`;
    return [priceVariable, { schema: price, default: String(defaultPriceCredits), description }];
  }),
) as Record<(typeof FEATURE_TABLE)[Feature]["priceVariable"], PriceDefinition>;

export const CREDITS = defineGroup("Credits", {
  DEFAULT_SIGNUP_CREDITS: {
    schema: integer(0, 1_000_000_000),
    default: "100",
    description: "Given once to a new account.",
  },
  ...prices,
});
