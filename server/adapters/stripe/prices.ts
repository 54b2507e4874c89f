// Owns the adapter's part about products and prices.
import type Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import { isRefusal } from "../../payment/stripe/errors.ts";
import { type Asking, PAGE } from "./caller.ts";
import { readId, readList, readPrice } from "./parse.ts";

type Prices = Pick<
  StripePort,
  "getPrice" | "findPrices" | "ensureProduct" | "createPrice" | "archivePrice"
>;

/** Products and prices over the SDK. */
export function createPrices(stripe: Stripe, { call }: Asking): Prices {
  return {
    getPrice: (priceId) =>
      call("prices.retrieve", (options) => stripe.prices.retrieve(priceId, {}, options), readPrice),
    findPrices: (lookupKeys) =>
      call(
        "prices.list",
        (options) =>
          stripe.prices.list({ lookup_keys: [...lookupKeys], active: true, limit: PAGE }, options),
        (answer) => readList(answer, readPrice).items,
      ),
    ensureProduct: async ({ id, name }) => {
      const known = await call(
        "products.update",
        (options) => stripe.products.update(id, { name, active: true }, options),
        (answer) => readId(answer, "product"),
      ).catch((error: unknown) => {
        if (isRefusal(error, "missing")) return null;
        throw error;
      });
      if (known !== null) return;
      await call(
        "products.create",
        (options) =>
          stripe.products.create({ id, name }, { ...options, idempotencyKey: `product:${id}` }),
        (answer) => readId(answer, "product"),
      ).catch(async (error: unknown) => {
        // Made by another instance a moment ago, or under this key with its former name.
        if (!isRefusal(error, "invalid") && !isRefusal(error, "keyReused")) throw error;
        await call(
          "products.retrieve",
          (options) => stripe.products.retrieve(id, {}, options),
          (answer) => readId(answer, "product"),
        );
      });
    },
    createPrice: (input, idempotencyKey) =>
      call(
        "prices.create",
        (options) =>
          stripe.prices.create(
            {
              product: input.productId,
              unit_amount: input.unitAmount,
              currency: input.currency,
              ...(input.interval === null ? {} : { recurring: { interval: input.interval } }),
              lookup_key: input.lookupKey,
              transfer_lookup_key: true,
              metadata: { offerId: input.offerId },
            },
            { ...options, idempotencyKey },
          ),
        readPrice,
      ),
    archivePrice: async (priceId) => {
      await call(
        "prices.update",
        (options) => stripe.prices.update(priceId, { active: false }, options),
        readPrice,
      );
    },
  };
}
