// Owns the adapter's part about products and prices.
import type Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import { isRefusal } from "../../payment/stripe/errors.ts";
import { type Asking, PAGE } from "./caller.ts";
import { readId, readList, readPrice } from "./parse.ts";

type Prices = Pick<
  StripePort,
  "getPrice" | "findPrices" | "findLatestPrice" | "ensureProduct" | "createPrice" | "archivePrice"
>;

/** Products and prices over the SDK. */
export function createPrices(stripe: Stripe, { call, write }: Asking): Prices {
  const getProduct = (id: string) =>
    call(
      "products.retrieve",
      (options) => stripe.products.retrieve(id, {}, options),
      (answer) => readId(answer, "product"),
    );
  const findPrices = (lookupKeys: readonly string[]) =>
    call(
      "prices.list",
      (options) =>
        stripe.prices.list({ lookup_keys: [...lookupKeys], active: true, limit: PAGE }, options),
      (answer) => readList(answer, readPrice).items,
    );
  return {
    getPrice: (priceId) =>
      call(
        "prices.retrieve",
        (options) => stripe.prices.retrieve(priceId, { expand: ["product"] }, options),
        readPrice,
      ),
    findPrices,
    findLatestPrice: (productId) =>
      call(
        "prices.list",
        (options) => stripe.prices.list({ product: productId, limit: 1 }, options),
        (answer) => readList(answer, readPrice).items[0] ?? null,
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
      await write({
        name: "products.create",
        key: `product:${id}`,
        run: (options) => stripe.products.create({ id, name }, options),
        read: (answer) => readId(answer, "product"),
        find: () =>
          getProduct(id).catch((error: unknown) => {
            if (isRefusal(error, "missing")) return null;
            throw error;
          }),
      }).catch(async (error: unknown) => {
        // Made by another instance a moment ago, or under this key with its former name.
        if (!isRefusal(error, "invalid") && !isRefusal(error, "keyReused")) throw error;
        await getProduct(id);
      });
    },
    createPrice: (input, key) =>
      write({
        name: "prices.create",
        key,
        run: (options) =>
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
            options,
          ),
        read: readPrice,
        find: async () => {
          const made = await findPrices([input.lookupKey]);
          return (
            made.find(
              (price) =>
                price.productId === input.productId &&
                price.unitAmount === input.unitAmount &&
                price.currency === input.currency &&
                price.interval === input.interval,
            ) ?? null
          );
        },
      }),
    archivePrice: async (priceId) => {
      await call(
        "prices.update",
        (options) => stripe.prices.update(priceId, { active: false }, options),
        readPrice,
      );
    },
  };
}
