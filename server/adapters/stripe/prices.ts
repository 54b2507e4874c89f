// Products and prices.
import type { StripePort } from "../../payment/stripe/port.ts";
import { isRefusal, unlessMissing } from "../../payment/stripe/errors.ts";
import type { StripeCall } from "./client.ts";
import { readId, readList, readPrice } from "./parse.ts";

/** Lists prices, because every key we use may read them. */
export const checkKey: StripeCall<"checkKey"> = async ({ sdk, call }) => {
  try {
    await call(
      "prices.list",
      (options) => sdk.prices.list({ limit: 1 }, options),
      // A proxy in between may answer 200 to anything.
      (answer) => readList(answer, (price) => readId(price, "price")),
    );
    return "accepted";
  } catch (error) {
    if (isRefusal(error, "forbidden")) return "refused";
    throw error;
  }
};

export const getPrice: StripeCall<"getPrice"> = ({ sdk, call }, priceId) =>
  call(
    "prices.retrieve",
    (options) => sdk.prices.retrieve(priceId, { expand: ["product", "currency_options"] }, options),
    readPrice,
  );

export const findPrice: StripeCall<"findPrice"> = ({ sdk, call }, lookupKey) =>
  call(
    "prices.list",
    (options) => sdk.prices.list({ lookup_keys: [lookupKey], active: true, limit: 1 }, options),
    (answer) => readList(answer, readPrice).items[0] ?? null,
  );

export const findLatestPrice: StripeCall<"findLatestPrice"> = ({ sdk, call }, productId) =>
  call(
    "prices.list",
    (options) => sdk.prices.list({ product: productId, limit: 1 }, options),
    (answer) => readList(answer, readPrice).items[0] ?? null,
  );

export const ensureProduct: StripeCall<"ensureProduct"> = async (client, { id, name }) => {
  const { products } = client.sdk;
  const readProduct = (answer: unknown) => readId(answer, "product");
  const update = client.call(
    "products.update",
    (options) => products.update(id, { name, active: true }, options),
    readProduct,
  );
  if ((await unlessMissing(update, null)) !== null) return;
  const getProduct = () =>
    client.call("products.retrieve", (options) => products.retrieve(id, {}, options), readProduct);
  await client
    .write({
      name: "products.create",
      key: `product:${id}`,
      run: (options) => products.create({ id, name }, options),
      read: readProduct,
      find: () => unlessMissing(getProduct(), null),
    })
    .catch(async (error: unknown) => {
      // Created by another instance a moment ago, or under this key with its former name.
      if (!isRefusal(error, "invalid") && !isRefusal(error, "keyReused")) throw error;
      await getProduct();
    });
};

export const createPrice: StripeCall<"createPrice"> = (client, input, key) => {
  const { productId, unitAmount, currency, interval, lookupKey, offerId, credits } = input;
  return client.write({
    name: "prices.create",
    key,
    run: (options) =>
      client.sdk.prices.create(
        {
          product: productId,
          unit_amount: unitAmount,
          currency,
          ...(interval === null ? {} : { recurring: { interval } }),
          lookup_key: lookupKey,
          transfer_lookup_key: true,
          metadata: toMetadata({ offerId, credits }),
        },
        options,
      ),
    read: readPrice,
    find: async () => {
      const price = await findPrice(client, lookupKey);
      const isOrdered =
        price?.productId === productId &&
        price.unitAmount === unitAmount &&
        price.currency === currency &&
        price.interval === interval &&
        price.credits === credits;
      return isOrdered ? price : null;
    },
  });
};

function toMetadata({ offerId, credits }: Parameters<StripePort["labelPrice"]>[1]) {
  return { offerId, ...(credits === null ? {} : { credits: String(credits) }) };
}

export const labelPrice: StripeCall<"labelPrice"> = async ({ sdk, call }, priceId, label) => {
  await call(
    "prices.update",
    (options) => sdk.prices.update(priceId, { metadata: toMetadata(label) }, options),
    readPrice,
  );
};

export const archivePrice: StripeCall<"archivePrice"> = async ({ sdk, call }, priceId) => {
  await call(
    "prices.update",
    (options) => sdk.prices.update(priceId, { active: false }, options),
    readPrice,
  );
};
