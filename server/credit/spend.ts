// Spending the price of a feature at once.
import type { Feature } from "../../shared/src/features.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { CreditInput, CreditOutput } from "./credit.types.ts";
import { withPackageSuggestion } from "./package-suggestion.ts";
import type { PackageSuggestions } from "./ports.ts";

/** Takes the price of `feature`. Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, SERVICE_UNAVAILABLE. */
export async function spend(
  deps: {
    readonly ledger: Ledger;
    readonly packages: PackageSuggestions;
    readonly costs: Readonly<Record<Feature, number>>;
    readonly priceVersion: string;
  },
  userId: string,
  { feature, idempotencyKey, metadata }: CreditInput<"spend">,
): Promise<CreditOutput<"spend">> {
  const result = await withPackageSuggestion(deps.packages, () =>
    deps.ledger.submit({
      kind: "spend",
      userId,
      feature,
      amountCredits: deps.costs[feature],
      priceVersion: deps.priceVersion,
      idempotencyKey: scopedKey("user", idempotencyKey),
      ...(metadata === undefined ? {} : { metadata }),
    }),
  );
  return {
    transactionId: result.transactionId ?? "",
    feature,
    charged: result.amountCredits,
    balance: result.credits,
    priceVersion: result.priceVersion ?? deps.priceVersion,
    replayed: result.replayed,
  };
}
