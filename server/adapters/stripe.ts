// Owns the Stripe adapter: the port of payment/stripe-port.ts over the SDK, pinned to one API version.
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import Stripe from "stripe";
import type { StripePort } from "../payment/stripe-port.ts";
import { isRefusal } from "../payment/stripe-refusal.ts";
import { CALL_LIMITS, type CallLimits, callStripe, malformed } from "./stripe-calls.ts";
import { readNotice, verifyEvent } from "./stripe-events.ts";
import {
  readCharge,
  readCheckout,
  readDispute,
  readId,
  readInvoice,
  readInvoicePayment,
  readList,
  readPaymentIntentStatus,
  readPortal,
  readPrice,
  readRefund,
  readSubscription,
} from "./stripe-shapes.ts";

/** The version all requests name, whatever the account's default. Raised together with the SDK. */
export const STRIPE_API_VERSION = "2026-10-28.endive";

/** What the adapter needs of the configuration. */
export interface StripeAdapterConfig {
  readonly secretKey: string;
  readonly webhookSecrets: readonly string[];
  readonly apiBase: string;
}

const PAGE = 100;
/** Refunds, disputes, subscriptions of one object: a bound, far above what happens. */
const MAX_PAGES = 10;

/** Makes the adapter. `limits` are for tests. */
export function createStripeAdapter(
  config: StripeAdapterConfig,
  limits: CallLimits = CALL_LIMITS,
): StripePort {
  const base = new URL(config.apiBase);
  const protocol = base.protocol === "http:" ? "http" : "https";
  const agentOptions = { keepAlive: true, maxSockets: 64, timeout: 60_000 };
  const stripe = new Stripe(config.secretKey, {
    apiVersion: STRIPE_API_VERSION,
    protocol,
    host: base.hostname,
    port: base.port === "" ? (protocol === "http" ? 80 : 443) : Number(base.port),
    httpClient: Stripe.createNodeHttpClient(
      protocol === "http" ? new HttpAgent(agentOptions) : new HttpsAgent(agentOptions),
    ),
    maxNetworkRetries: 0,
    timeout: limits.attemptTimeoutMs,
    telemetry: false,
  });
  const livemode = /^(sk|rk)_live_/.test(config.secretKey);

  const call = <T>(
    name: string,
    run: (options: { timeout: number; maxNetworkRetries: 0 }) => Promise<unknown>,
    read: (answer: unknown) => T,
  ): Promise<T> => callStripe(name, limits, run, read);

  /** Walks a list until it ends or `max` items are there. */
  async function listAll<T extends { id: string }>(
    name: string,
    run: (
      page: { limit: number; starting_after?: string },
      options: { timeout: number; maxNetworkRetries: 0 },
    ) => Promise<unknown>,
    read: (item: unknown) => T,
    max = PAGE * MAX_PAGES,
  ): Promise<T[]> {
    const found: T[] = [];
    while (found.length < max) {
      const last = found.at(-1);
      const page = {
        limit: Math.min(PAGE, max - found.length),
        ...(last === undefined ? {} : { starting_after: last.id }),
      };
      const { items, more } = await call(
        name,
        (options) => run(page, options),
        (answer) => readList(answer, read),
      );
      found.push(...items);
      if (!more || items.length === 0) break;
    }
    return found;
  }

  return {
    verifyEvent: (rawBody, signatureHeader, nowMs) =>
      verifyEvent(rawBody, signatureHeader, { secrets: config.webhookSecrets, livemode, nowMs }),

    createCustomer: ({ userId, email, name }, idempotencyKey) =>
      call(
        "customers.create",
        (options) =>
          stripe.customers.create(
            { email, ...(name === null ? {} : { name }), metadata: { userId } },
            { ...options, idempotencyKey },
          ),
        (answer) => readId(answer, "customer"),
      ),

    createCheckout: (input, idempotencyKey) =>
      call(
        "checkout.sessions.create",
        (options) =>
          stripe.checkout.sessions.create(
            {
              mode: input.mode,
              customer: input.customerId,
              client_reference_id: input.checkoutId,
              line_items: [
                "priceId" in input.price
                  ? { price: input.price.priceId, quantity: 1 }
                  : {
                      price_data: {
                        currency: input.price.currency,
                        unit_amount: input.price.amount,
                        product_data: { name: input.price.name },
                      },
                      quantity: 1,
                    },
              ],
              success_url: input.successUrl,
              cancel_url: input.cancelUrl,
              expires_at: Math.floor(input.expiresAt.getTime() / 1000),
              metadata: { checkoutId: input.checkoutId },
              allow_promotion_codes: true,
            },
            { ...options, idempotencyKey },
          ),
        readCheckout,
      ),
    getCheckout: (sessionId) =>
      call(
        "checkout.sessions.retrieve",
        (options) => stripe.checkout.sessions.retrieve(sessionId, {}, options),
        readCheckout,
      ),
    expireCheckout: (sessionId) =>
      call(
        "checkout.sessions.expire",
        (options) =>
          stripe.checkout.sessions.expire(
            sessionId,
            {},
            { ...options, idempotencyKey: `expire:${sessionId}` },
          ),
        readCheckout,
      ),
    findCheckoutByPaymentIntent: (paymentIntentId) =>
      call(
        "checkout.sessions.list",
        (options) =>
          stripe.checkout.sessions.list({ payment_intent: paymentIntentId, limit: 1 }, options),
        (answer) => readList(answer, readCheckout).items[0] ?? null,
      ),
    findCheckoutBySubscription: (subscriptionId) =>
      call(
        "checkout.sessions.list",
        (options) =>
          stripe.checkout.sessions.list({ subscription: subscriptionId, limit: 1 }, options),
        (answer) => readList(answer, readCheckout).items[0] ?? null,
      ),

    getSubscription: (subscriptionId) =>
      call(
        "subscriptions.retrieve",
        (options) => stripe.subscriptions.retrieve(subscriptionId, {}, options),
        readSubscription,
      ),
    listSubscriptions: (customerId) =>
      listAll(
        "subscriptions.list",
        (page, options) => stripe.subscriptions.list({ customer: customerId, ...page }, options),
        readSubscription,
      ),
    setCancelAtPeriodEnd: (subscriptionId, cancel, idempotencyKey) =>
      call(
        "subscriptions.update",
        (options) =>
          stripe.subscriptions.update(
            subscriptionId,
            { cancel_at_period_end: cancel },
            { ...options, idempotencyKey },
          ),
        readSubscription,
      ),
    cancelSubscription: async (subscriptionId, idempotencyKey) => {
      try {
        return await call(
          "subscriptions.cancel",
          (options) =>
            stripe.subscriptions.cancel(
              subscriptionId,
              { prorate: false, invoice_now: false },
              { ...options, idempotencyKey },
            ),
          readSubscription,
        );
      } catch (error) {
        // Stripe answers 404 or 400 when it had ended before: the current object says so.
        if (!isRefusal(error, "missing") && !isRefusal(error, "invalid")) throw error;
        const now = await call(
          "subscriptions.retrieve",
          (options) => stripe.subscriptions.retrieve(subscriptionId, {}, options),
          readSubscription,
        );
        if (now.endedAt === null && now.status !== "canceled") throw error;
        return now;
      }
    },
    changePrice: (input, idempotencyKey) =>
      call(
        "subscriptions.update",
        (options) =>
          stripe.subscriptions.update(
            input.subscriptionId,
            {
              items: [{ id: input.itemId, price: input.priceId }],
              ...(input.prorate
                ? {
                    proration_behavior: "always_invoice" as const,
                    proration_date: Math.floor(input.prorationDate.getTime() / 1000),
                    payment_behavior: "error_if_incomplete" as const,
                  }
                : { proration_behavior: "none" as const }),
            },
            { ...options, idempotencyKey },
          ),
        readSubscription,
      ),
    previewPriceChange: (input) =>
      call(
        "invoices.createPreview",
        (options) =>
          stripe.invoices.createPreview(
            {
              customer: input.customerId,
              subscription: input.subscriptionId,
              subscription_details: {
                items: [{ id: input.itemId, price: input.priceId }],
                proration_behavior: "always_invoice",
                ...(input.prorationDate === undefined
                  ? {}
                  : { proration_date: Math.floor(input.prorationDate.getTime() / 1000) }),
              },
            },
            options,
          ),
        readInvoice,
      ),

    getInvoice: (invoiceId) =>
      call(
        "invoices.retrieve",
        (options) => stripe.invoices.retrieve(invoiceId, {}, options),
        readInvoice,
      ),
    listInvoices: (filter) =>
      listAll(
        "invoices.list",
        (page, options) =>
          stripe.invoices.list(
            {
              ...(filter.customerId === undefined ? {} : { customer: filter.customerId }),
              ...(filter.status === undefined ? {} : { status: filter.status }),
              ...(filter.createdSince === undefined
                ? {}
                : { created: { gte: Math.floor(filter.createdSince.getTime() / 1000) } }),
              ...page,
            },
            options,
          ),
        readInvoice,
        filter.limit,
      ),
    findInvoicePaymentIntent: (invoiceId) =>
      call(
        "invoicePayments.list",
        (options) => stripe.invoicePayments.list({ invoice: invoiceId, limit: 10 }, options),
        (answer) => {
          const payments = readList(answer, readInvoicePayment).items;
          const paid = payments.find((payment) => payment.status === "paid") ?? payments[0];
          return paid?.paymentIntentId ?? null;
        },
      ),
    findInvoiceByPaymentIntent: (paymentIntentId) =>
      call(
        "invoicePayments.list",
        (options) =>
          stripe.invoicePayments.list(
            { payment: { type: "payment_intent", payment_intent: paymentIntentId }, limit: 1 },
            options,
          ),
        (answer) => readList(answer, readInvoicePayment).items[0]?.invoiceId ?? null,
      ),

    getPaymentIntentStatus: (paymentIntentId) =>
      call(
        "paymentIntents.retrieve",
        (options) => stripe.paymentIntents.retrieve(paymentIntentId, {}, options),
        readPaymentIntentStatus,
      ),
    getChargePaymentIntent: (chargeId) =>
      call(
        "charges.retrieve",
        (options) => stripe.charges.retrieve(chargeId, {}, options),
        readCharge,
      ),
    listRefunds: (paymentIntentId) =>
      listAll(
        "refunds.list",
        (page, options) =>
          stripe.refunds.list({ payment_intent: paymentIntentId, ...page }, options),
        readRefund,
      ),
    listDisputes: (paymentIntentId) =>
      listAll(
        "disputes.list",
        (page, options) =>
          stripe.disputes.list({ payment_intent: paymentIntentId, ...page }, options),
        readDispute,
      ),
    createRefund: (input, idempotencyKey) =>
      call(
        "refunds.create",
        (options) =>
          stripe.refunds.create(
            {
              payment_intent: input.paymentIntentId,
              ...(input.amount === undefined ? {} : { amount: input.amount }),
              metadata: {
                orderKey: input.orderKey,
                ...(input.reason === null ? {} : { reason: input.reason }),
              },
            },
            { ...options, idempotencyKey },
          ),
        readRefund,
      ),

    createPortalSession: (customerId, returnUrl) =>
      call(
        "billingPortal.sessions.create",
        (options) =>
          stripe.billingPortal.sessions.create(
            { customer: customerId, return_url: returnUrl },
            options,
          ),
        readPortal,
      ),

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

    listEvents: (filter) =>
      call(
        "events.list",
        (options) =>
          stripe.events.list(
            {
              created: { gte: Math.floor(filter.createdSince.getTime() / 1000) },
              types: [...filter.types],
              limit: PAGE,
              ...(filter.after === null ? {} : { starting_after: filter.after }),
            },
            options,
          ),
        (answer) => {
          const { items, more } = readList(answer, (item) => {
            const notice = readNotice(item);
            if (notice === null) throw malformed("event");
            return notice;
          });
          return { events: items, more };
        },
      ),
  };
}
