// Owns the Stripe adapter: the port of payment/stripe-port.ts over the SDK, pinned to one API version.
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import { createAsking, PAGE } from "./caller.ts";
import { createBilling } from "./billing.ts";
import { CALL_LIMITS, type CallLimits, malformed } from "./calls.ts";
import { readNotice, verifyEvent } from "./events.ts";
import { createPrices } from "./prices.ts";
import {
  readCharge,
  readCheckout,
  readDispute,
  readId,
  readList,
  readPaymentIntentStatus,
  readPortal,
  readRefund,
} from "./parse.ts";

/** The version all requests name, whatever the account's default. Raised together with the SDK. */
export const STRIPE_API_VERSION = "2026-10-28.endive";

/** What the adapter needs of the configuration. */
export interface StripeAdapterConfig {
  readonly secretKey: string;
  readonly webhookSecrets: readonly string[];
  readonly apiBase: string;
}

/** Carries the SDK's requests. */
export type StripeHttpClient = NonNullable<
  NonNullable<ConstructorParameters<typeof Stripe>[1]>["httpClient"]
>;

function nodeHttpClient(protocol: "http" | "https"): StripeHttpClient {
  const options = { keepAlive: true, maxSockets: 64, timeout: 60_000 };
  return Stripe.createNodeHttpClient(
    protocol === "http" ? new HttpAgent(options) : new HttpsAgent(options),
  );
}

/** Makes the adapter. `limits` and `httpClient` are for tests. */
export function createStripeAdapter(
  config: StripeAdapterConfig,
  limits: CallLimits = CALL_LIMITS,
  httpClient?: StripeHttpClient,
): StripePort {
  const base = new URL(config.apiBase);
  const protocol = base.protocol === "http:" ? "http" : "https";
  const stripe = new Stripe(config.secretKey, {
    apiVersion: STRIPE_API_VERSION,
    protocol,
    host: base.hostname,
    port: base.port === "" ? (protocol === "http" ? 80 : 443) : Number(base.port),
    httpClient: httpClient ?? nodeHttpClient(protocol),
    maxNetworkRetries: 0,
    timeout: limits.attemptTimeoutMs,
    telemetry: false,
  });
  const livemode = /^(sk|rk)_live_/.test(config.secretKey);

  const asking = createAsking(limits);
  const { call, listAll } = asking;
  return {
    ...createBilling(stripe, asking),
    ...createPrices(stripe, asking),
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
