// The checkout sessions API: create, read, list, expire.
import type { Call, Route } from "../api/route.ts";
import { addProduct, readCurrency, readRecurring, readUnitAmount } from "../catalog/catalog.ts";
import { createdRange, page } from "../api/lists.ts";
import { activePrice, refuseMixedCurrency } from "../catalog/prices.ts";
import { applyDiscount, expireIfDue, expireSession } from "./paying.ts";
import { newPrice } from "../objects/new-catalog.ts";
import { newCheckoutLine, newSession } from "../objects/new-checkout.ts";
import { readTrialWish } from "../billing/trials.ts";
import type { CheckoutLine, CheckoutSession, Coupon, Json, Price } from "../objects/types.ts";
import { apiError, badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import { need, type World } from "../state/world.ts";

const DAY_SECONDS = 86_400;

function readLine(
  world: World,
  fields: Fields,
): { price: Price; quantity: number; description: string } {
  const quantity = fields.int("quantity") ?? 1;
  if (quantity < 1)
    throw badParam("Invalid quantity", fields.param("quantity"), "parameter_invalid_integer");
  fields.ignore("adjustable_quantity", "tax_rates", "metadata");
  const priceId = fields.text("price");
  const data = fields.map("price_data");
  if ((priceId === undefined) === (data === undefined)) {
    throw badParam(
      "Pass exactly one of price and price_data for each line item.",
      fields.param("price"),
      "parameter_missing",
    );
  }
  if (data === undefined) {
    const price = activePrice(world, priceId ?? "", fields.param("price"));
    return {
      price,
      quantity,
      description: world.tables.products.get(price.product)?.name ?? "Product",
    };
  }
  const currency = readCurrency(data);
  const unitAmount = readUnitAmount(data);
  const recurring = readRecurring(data.map("recurring"));
  data.ignore("tax_behavior");
  let product = data.text("product");
  const productData = data.map("product_data");
  if (product === undefined) {
    const name = productData?.needText("name");
    if (name === undefined)
      throw badParam(
        "Missing required param: price_data[product_data].",
        "price_data",
        "parameter_missing",
      );
    product = addProduct(world, {
      name,
      description: productData?.text("description"),
      metadata: mergeMetadata({}, productData?.metadata()),
    });
    productData?.ignore("images", "tax_code");
  }
  const price = newPrice(world.newId("price"), world.wallNow(), {
    product,
    currency,
    unitAmount,
    recurring,
    metadata: {},
    active: false,
  });
  world.tables.prices.set(price.id, price);
  return {
    price,
    quantity,
    description: need(world.tables.products, "product", product, "product").name,
  };
}

function readDiscounts(
  world: World,
  fields: Fields,
): { coupon: Coupon; code: string | null } | undefined {
  const [first] = fields.maps("discounts");
  if (first === undefined) return undefined;
  const couponId = first.text("coupon");
  const codeId = first.text("promotion_code");
  const code =
    codeId === undefined
      ? undefined
      : need(world.tables.promotionCodes, "promotion code", codeId, "discounts");
  const id = code?.promotion.coupon ?? couponId ?? "";
  return { coupon: need(world.tables.coupons, "coupon", id, "discounts"), code: code?.id ?? null };
}

/** Parameters that are accepted and have no effect. */
const IGNORED = [
  "billing_address_collection",
  "payment_method_types",
  "submit_type",
  "ui_mode",
  "automatic_tax",
  "customer_update",
  "payment_method_collection",
  "phone_number_collection",
  "tax_id_collection",
  "consent_collection",
  "custom_text",
  "invoice_creation",
  "adaptive_pricing",
  "payment_method_options",
  "managed_payments",
  "saved_payment_method_options",
  "currency",
  "origin_context",
  "after_expiration",
  "branding_settings",
  "custom_fields",
  "name_collection",
  "integration_identifier",
] as const;

function missingParam(param: string) {
  return badParam(`Missing required param: ${param}.`, param, "parameter_missing");
}

function readUrls(fields: Fields): { success_url: string; cancel_url: string | null } {
  const urls = {
    success_url: fields.needText("success_url"),
    cancel_url: fields.text("cancel_url") ?? null,
  };
  for (const [param, url] of Object.entries(urls)) {
    if (url !== null && !/^https?:\/\/[^\s]+$/.test(url)) {
      throw badParam(
        `Invalid URL: An explicit scheme (such as https) must be provided.`,
        param,
        "url_invalid",
      );
    }
  }
  return urls;
}

function readExpiry(fields: Fields, now: number): number {
  const expiresAt = fields.int("expires_at") ?? now + DAY_SECONDS;
  if (expiresAt < now + 30 * 60 - 60 || expiresAt > now + DAY_SECONDS + 60) {
    throw badParam(
      "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.",
      "expires_at",
      "parameter_invalid_integer",
    );
  }
  return expiresAt;
}

/** Reads what the session passes on to its payment intent or subscription. */
function readDetails(fields: Fields, now: number) {
  const intentData = fields.map("payment_intent_data");
  const subscriptionData = fields.map("subscription_data");
  const details = {
    intentMetadata: mergeMetadata({}, intentData?.metadata()),
    intentDescription: intentData?.text("description") ?? null,
    setupFutureUsage: intentData?.text("setup_future_usage") ?? null,
    subscriptionMetadata: mergeMetadata({}, subscriptionData?.metadata()),
    trial: subscriptionData && readTrialWish(subscriptionData, now),
    delayed: false,
  };
  intentData?.ignore("receipt_email", "statement_descriptor", "statement_descriptor_suffix");
  subscriptionData?.ignore("description", "billing_mode", "proration_behavior");
  return details;
}

/** Returns the currency of the lines. Throws 400 when they mix currencies or do not fit the mode. */
function checkLines(mode: "payment" | "subscription", lines: readonly { price: Price }[]): string {
  const [first] = lines;
  if (first === undefined) throw missingParam("line_items");
  const currency = first.price.currency;
  for (const line of lines) {
    if (line.price.currency !== currency)
      throw badParam(
        "All line items must have the same currency.",
        "line_items",
        "parameter_invalid",
      );
    if (mode === "payment" && line.price.recurring !== null) {
      throw badParam(
        "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.",
        "line_items",
        "parameter_invalid",
      );
    }
  }
  if (mode === "subscription" && lines.every((line) => line.price.recurring === null)) {
    throw badParam(
      "You must provide at least one recurring price in `subscription` mode when using prices.",
      "line_items",
      "parameter_invalid",
    );
  }
  return currency;
}

function createSession({ world, fields }: Call): Json {
  const mode = fields.oneOf("mode", ["payment", "subscription"]);
  if (mode === undefined) throw missingParam("mode");
  const urls = readUrls(fields);
  const customerId = fields.text("customer");
  const email = fields.text("customer_email");
  const now = world.wallNow();
  const expiresAt = readExpiry(fields, now);
  const discount = readDiscounts(world, fields);
  const allowCodes = fields.bool("allow_promotion_codes");
  if (discount !== undefined && allowCodes === true) {
    throw badParam(
      "You may only specify one of these parameters: allow_promotion_codes, discounts.",
      "allow_promotion_codes",
      "parameters_exclusive",
    );
  }
  const details = readDetails(fields, world.billingNow());
  const metadata = mergeMetadata({}, fields.metadata());
  const reference = fields.text("client_reference_id") ?? null;
  const creation = fields.text("customer_creation") ?? null;
  const locale = fields.text("locale") ?? null;
  const lines = fields.maps("line_items").map((line) => readLine(world, line));
  fields.ignore(...IGNORED);
  fields.done();
  if (customerId !== undefined) need(world.tables.customers, "customer", customerId, "customer");
  const currency = checkLines(mode, lines);
  if (mode === "subscription" && customerId !== undefined)
    refuseMixedCurrency(world, customerId, currency);
  const isFree = (price: Price): boolean => details.trial !== undefined && price.recurring !== null;
  const subtotal = lines
    .filter(({ price }) => !isFree(price))
    .reduce((sum, line) => sum + line.price.unit_amount * line.quantity, 0);
  const id = `cs_test_${world.newId("a", 58).slice(2)}`;
  const session = newSession(id, now, {
    mode,
    currency,
    amount_subtotal: subtotal,
    amount_total: subtotal,
    customer: customerId ?? null,
    customer_email: email ?? null,
    client_reference_id: reference,
    metadata,
    ...urls,
    expires_at: expiresAt,
    allow_promotion_codes: allowCodes ?? null,
    discounts: [],
    url: `${world.publicUrl}/c/pay/${id}`,
    customer_creation:
      customerId === undefined
        ? (creation ?? (mode === "subscription" ? "always" : "if_required"))
        : null,
    locale,
  });
  world.hidden.sessionDetails.set(id, {
    ...details,
    lines: lines.map((line) =>
      newCheckoutLine(world.newId("li"), {
        ...line,
        discountAmount: 0,
        isFree: isFree(line.price),
      }),
    ),
  });
  world.tables.sessions.set(id, session);
  if (discount !== undefined) applyDiscount(world, session, discount.coupon, discount.code);
  return session;
}

function listSessions({ world, fields }: Call): Json {
  const names = ["customer", "payment_intent", "subscription", "status"] as const;
  const wanted = names.map((name) => [name, fields.text(name)] as const);
  const email = fields.map("customer_details")?.text("email");
  const created = createdRange(fields);
  for (const session of world.tables.sessions.values()) expireIfDue(world, session);
  const keep = (it: CheckoutSession): boolean =>
    wanted.every(([name, value]) => value === undefined || it[name] === value) &&
    (email === undefined || it.customer_details?.email === email) &&
    created(it.created);
  const out = page(fields, "/v1/checkout/sessions", world.tables.sessions.values(), keep);
  fields.done();
  return { ...out };
}

/** Routes of this file. */
export const checkoutRoutes: Route[] = [
  { method: "POST", path: "/v1/checkout/sessions", handle: createSession },
  { method: "GET", path: "/v1/checkout/sessions", handle: listSessions },
  {
    method: "GET",
    path: "/v1/checkout/sessions/:id",
    handle: ({ world, ids }) => {
      const session = need(world.tables.sessions, "checkout.session", ids[0] ?? "");
      expireIfDue(world, session);
      return session;
    },
  },
  {
    method: "GET",
    path: "/v1/checkout/sessions/:id/line_items",
    handle: ({ world, ids, fields }) => {
      const id = ids[0] ?? "";
      need(world.tables.sessions, "checkout.session", id);
      const lines: CheckoutLine[] = [
        ...(world.hidden.sessionDetails.get(id)?.lines ?? []),
      ].reverse();
      return {
        ...page(fields, `/v1/checkout/sessions/${id}/line_items`, lines, () => true),
      };
    },
  },
  {
    method: "POST",
    path: "/v1/checkout/sessions/:id/expire",
    handle: ({ world, ids, fields }) => {
      fields.done();
      const session = need(world.tables.sessions, "checkout.session", ids[0] ?? "");
      expireIfDue(world, session);
      if (session.status !== "open") {
        throw apiError({
          status: 400,
          type: "invalid_request_error",
          message:
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of `' +
            session.status +
            "`.",
        });
      }
      expireSession(world, session);
      return session;
    },
  },
  {
    method: "POST",
    path: "/v1/checkout/sessions/:id",
    handle: ({ world, ids, fields }) => {
      const session = need(world.tables.sessions, "checkout.session", ids[0] ?? "");
      const metadata = fields.metadata();
      fields.done();
      session.metadata = mergeMetadata(session.metadata, metadata);
      return session;
    },
  },
];
