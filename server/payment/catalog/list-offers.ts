// The offers as anybody sees them.
import type { PaymentOutput } from "../payment.types.ts";
import type { Catalog } from "./catalog.ts";

/** The packages on sale. */
export async function listPackages(catalog: Catalog): Promise<PaymentOutput<"packages">> {
  const packages = await catalog.packages();
  return {
    packages: packages.map(({ id, name, credits, price, currency }) => ({
      id,
      name,
      credits,
      price,
      currency,
    })),
  };
}

/** The plans on sale. */
export async function listPlans(catalog: Catalog): Promise<PaymentOutput<"plans">> {
  const plans = await catalog.plans();
  return {
    plans: plans.map(({ id, tier, name, credits, price, currency, interval }) => ({
      id,
      tier,
      name,
      credits,
      price,
      currency,
      interval,
    })),
  };
}
