import { expect, test } from "vitest";
import { readPrice } from "../../../server/adapters/stripe/parse.ts";
import { createCatalog } from "../../../server/payment/catalog/catalog.ts";
import type { PaymentStore } from "../../../server/payment/ports.ts";
import type { StripePort } from "../../../server/payment/stripe/port.ts";

test("a price is read once, even without a whole amount, and again for a currency it did not state", async () => {
  const read: string[] = [];
  const stripe: Partial<StripePort> = {
    async getPrice(id) {
      read.push(id);
      const raw = { id, object: "price", active: true, product: "p", currency: "usd" };
      const price = readPrice({ ...raw, recurring: { interval: "month" }, unit_amount: null });
      return { ...price, offerId: "odd", credits: 500 };
    },
  };
  const offers: Partial<PaymentStore["offers"]> = {
    findPlanByPrice: async () => null,
    findPlan: async () => null,
  };
  const catalog = createCatalog({
    stripe: stripe as StripePort,
    store: { offers: offers as PaymentStore["offers"] },
  });
  for (const currency of ["usd", "usd", undefined]) await catalog.findPricedPlan("p1", currency);
  expect(read).toEqual(["p1"]);
  await catalog.findPricedPlan("p1", "eur");
  expect(read).toEqual(["p1", "p1"]);
});
