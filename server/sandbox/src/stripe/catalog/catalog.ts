// The products and prices API: create, read, update, list.
import type { Call, Route } from "../api/route.ts";
import { createdRange, page } from "../api/lists.ts";
import { newPrice, newProduct } from "../objects/new-catalog.ts";
import type { Json, Price, Recurring } from "../objects/types.ts";
import { apiError, badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

const INTERVALS = ["day", "week", "month", "year"] as const;
const CURRENCY = /^[a-z]{3}$/;

/** Reads a currency code, in lower case as Stripe returns it. */
export function readCurrency(fields: Fields, name = "currency"): string {
  const currency = fields.needText(name).toLowerCase();
  if (!CURRENCY.test(currency)) {
    throw badParam(`Invalid currency: ${currency}.`, fields.param(name), "parameter_invalid");
  }
  return currency;
}

/** Reads `recurring[interval]` and its count. Null for a one-time price. */
export function readRecurring(fields: Fields | undefined): Recurring | null {
  if (fields === undefined) return null;
  const interval = fields.oneOf("interval", INTERVALS);
  if (interval === undefined)
    throw badParam(
      "Missing required param: recurring[interval].",
      "recurring[interval]",
      "parameter_missing",
    );
  fields.ignore("usage_type");
  return {
    interval,
    interval_count: fields.int("interval_count") ?? 1,
    meter: null,
    trial_period_days: null,
    usage_type: "licensed",
  };
}

/** Reads `unit_amount`, 0..99999999 minor units. */
export function readUnitAmount(fields: Fields): number {
  const amount =
    fields.has("unit_amount_decimal") && !fields.has("unit_amount")
      ? Number(fields.needText("unit_amount_decimal"))
      : fields.needInt("unit_amount");
  if (!Number.isInteger(amount) || amount < 0 || amount > 99_999_999) {
    throw badParam("Invalid unit_amount", fields.param("unit_amount"), "parameter_invalid_integer");
  }
  return amount;
}

function createPrice({ world, fields }: Call): Json {
  const currency = readCurrency(fields);
  const unitAmount = readUnitAmount(fields);
  const recurring = readRecurring(fields.map("recurring"));
  const lookupKey = fields.text("lookup_key");
  const transfer = fields.bool("transfer_lookup_key") ?? false;
  const nickname = fields.text("nickname");
  const metadata = mergeMetadata({}, fields.metadata());
  const active = fields.bool("active");
  let product = fields.text("product");
  const productData = fields.map("product_data");
  const productName = productData?.needText("name");
  const productMetadata = mergeMetadata({}, productData?.metadata());
  productData?.ignore("active", "statement_descriptor", "tax_code", "unit_label");
  fields.ignore("tax_behavior", "billing_scheme");
  fields.done();
  if (product !== undefined) need(world.tables.products, "product", product, "product");
  const holder =
    lookupKey === undefined
      ? undefined
      : [...world.tables.prices.values()].find((it) => it.lookup_key === lookupKey);
  if (holder !== undefined && !transfer) {
    throw badParam(
      `A price (\`${holder.id}\`) already uses that lookup key.`,
      "lookup_key",
      "resource_already_exists",
    );
  }
  if (product === undefined) {
    if (productName === undefined)
      throw badParam("Missing required param: product.", "product", "parameter_missing");
    product = addProduct(world, { name: productName, metadata: productMetadata });
  }
  if (holder !== undefined) {
    change(world, holder, "price.updated", (it) => {
      it.lookup_key = null;
    });
  }
  const price = newPrice(world.newId("price"), world.wallNow(), {
    product,
    currency,
    unitAmount,
    recurring,
    lookupKey,
    nickname,
    metadata,
    active,
  });
  world.tables.prices.set(price.id, price);
  world.emit("price.created", price);
  return price;
}

/** Stores a product and returns its id. */
export function addProduct(
  world: World,
  given: Parameters<typeof newProduct>[2] & { id?: string },
): string {
  const product = newProduct(given.id ?? world.newId("prod", 14), world.wallNow(), given);
  world.tables.products.set(product.id, product);
  world.emit("product.created", product);
  return product.id;
}

function createProduct({ world, fields }: Call): Json {
  const id = fields.text("id");
  const given = {
    id,
    name: fields.needText("name"),
    description: fields.text("description"),
    active: fields.bool("active"),
    metadata: mergeMetadata({}, fields.metadata()),
  };
  fields.ignore(
    "images",
    "url",
    "tax_code",
    "unit_label",
    "statement_descriptor",
    "shippable",
    "type",
  );
  fields.done();
  if (id !== undefined && world.tables.products.has(id)) {
    throw badParam("Product already exists.", "id", "resource_already_exists");
  }
  return need(world.tables.products, "product", addProduct(world, given));
}

function updateProduct({ world, ids, fields }: Call): Json {
  const product = need(world.tables.products, "product", ids[0] ?? "");
  const name = fields.text("name");
  const description = fields.text("description");
  const active = fields.bool("active");
  const defaultPrice = fields.text("default_price");
  const metadata = fields.metadata();
  fields.ignore("images", "url", "tax_code", "unit_label", "statement_descriptor");
  fields.done();
  change(world, product, "product.updated", (it) => {
    if (name !== undefined) it.name = name;
    if (description !== undefined) it.description = description || null;
    if (active !== undefined) it.active = active;
    if (defaultPrice !== undefined) it.default_price = defaultPrice || null;
    it.metadata = mergeMetadata(it.metadata, metadata);
    it.updated = world.wallNow();
  });
  return product;
}

function updatePrice({ world, ids, fields }: Call): Json {
  const price = need(world.tables.prices, "price", ids[0] ?? "");
  const active = fields.bool("active");
  const nickname = fields.text("nickname");
  const lookupKey = fields.text("lookup_key");
  const transfer = fields.bool("transfer_lookup_key") ?? false;
  const metadata = fields.metadata();
  fields.ignore("tax_behavior");
  fields.done();
  const holder = [...world.tables.prices.values()].find(
    (it) =>
      lookupKey !== undefined && lookupKey !== "" && it.lookup_key === lookupKey && it !== price,
  );
  if (holder !== undefined && !transfer) {
    throw badParam(
      `A price (\`${holder.id}\`) already uses that lookup key.`,
      "lookup_key",
      "resource_already_exists",
    );
  }
  if (holder !== undefined)
    change(world, holder, "price.updated", (it) => {
      it.lookup_key = null;
    });
  change(world, price, "price.updated", (it) => {
    if (active !== undefined) it.active = active;
    if (nickname !== undefined) it.nickname = nickname || null;
    if (lookupKey !== undefined) it.lookup_key = lookupKey || null;
    it.metadata = mergeMetadata(it.metadata, metadata);
  });
  return price;
}

function listPrices({ world, fields }: Call): Json {
  const keys = fields.texts("lookup_keys");
  const active = fields.bool("active");
  const product = fields.text("product");
  const type = fields.text("type");
  const currency = fields.text("currency");
  const created = createdRange(fields);
  const keep = (it: Price): boolean =>
    (keys.length === 0 || (it.lookup_key !== null && keys.includes(it.lookup_key))) &&
    (active === undefined || it.active === active) &&
    (product === undefined || it.product === product) &&
    (type === undefined || it.type === type) &&
    (currency === undefined || it.currency === currency) &&
    created(it.created);
  const out = page(fields, "/v1/prices", world.tables.prices.values(), keep);
  fields.done();
  return { ...out };
}

/** Routes of this file. */
export const catalogRoutes: Route[] = [
  { method: "POST", path: "/v1/products", handle: createProduct },
  {
    method: "GET",
    path: "/v1/products",
    handle: ({ world, fields }) => {
      const active = fields.bool("active");
      const wanted = fields.texts("ids");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/products",
        world.tables.products.values(),
        (it) =>
          (active === undefined || it.active === active) &&
          (wanted.length === 0 || wanted.includes(it.id)) &&
          created(it.created),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/products/:id",
    handle: ({ world, ids }) => need(world.tables.products, "product", ids[0] ?? ""),
  },
  { method: "POST", path: "/v1/products/:id", handle: updateProduct },
  {
    method: "DELETE",
    path: "/v1/products/:id",
    handle: ({ world, ids }) => {
      const product = need(world.tables.products, "product", ids[0] ?? "");
      if ([...world.tables.prices.values()].some((it) => it.product === product.id)) {
        throw apiError({
          status: 400,
          type: "invalid_request_error",
          message: "This product cannot be deleted because it has one or more user-created prices.",
        });
      }
      world.tables.products.delete(product.id);
      world.emit("product.deleted", product);
      return { id: product.id, object: "product", deleted: true };
    },
  },
  { method: "POST", path: "/v1/prices", handle: createPrice },
  { method: "GET", path: "/v1/prices", handle: listPrices },
  {
    method: "GET",
    path: "/v1/prices/:id",
    handle: ({ world, ids }) => need(world.tables.prices, "price", ids[0] ?? ""),
  },
  { method: "POST", path: "/v1/prices/:id", handle: updatePrice },
];
