// Charging the price of a feature immediately, without a hold.
import type { Feature } from "../../shared/src/features.ts";
import { assert } from "../lib/errors.ts";
import type { IdempotencyKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { CreditInput, CreditOutput } from "./credit.types.ts";
import type { Charging } from "./ports.ts";

/** Charges the price of a feature. Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, SERVICE_UNAVAILABLE. */
export async function spend(
  { ledger, prices, withPackageSuggestion }: Charging & { readonly ledger: Ledger },
  order: {
    readonly userId: string;
    readonly feature: Feature;
    readonly idempotencyKey: IdempotencyKey;
    readonly metadata?: CreditInput<"spend">["metadata"];
  },
): Promise<CreditOutput<"spend">> {
  const { userId, feature, idempotencyKey, metadata } = order;
  const result = await withPackageSuggestion(() =>
    ledger.submit({
      kind: "spend",
      userId,
      feature,
      idempotencyKey,
      amountCredits: prices.credits[feature],
      priceVersion: prices.version,
      ...(metadata === undefined ? {} : { metadata }),
    }),
  );
  assert(result.transactionId !== null, "a spend is an entry");
  return {
    transactionId: result.transactionId,
    feature,
    charged: result.amountCredits,
    balance: result.credits,
    priceVersion: result.priceVersion ?? prices.version,
    replayed: result.replayed,
  };
}
