// Owns the Stripe adapter: the port of payment/stripe-port.ts over the SDK, pinned to one API version.
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import { createAsking, PAGE } from "./caller.ts";
import { createBilling } from "./billing.ts";
import { CALL_LIMITS, type CallLimits, malformed } from "./calls.ts";
import { readNotice, readSignature, verifyEvent } from "./events.ts";
import { createPortal } from "./portal.ts";
import { createPrices } from "./prices.ts";
import { createSchedules } from "./schedules.ts";
import {
  readCharge,
  readCheckout,
  readCustomer,
  readDispute,
  readId,
  readList,
  readPaymentIntentStatus,
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
  const { call, write, listAll } = asking;
  const getCheckout = (sessionId: string) =>
    call(
      "checkout.sessions.retrieve",
      (options) => stripe.checkout.sessions.retrieve(sessionId, {}, options),
      readCheckout,
    );
  const listRefunds = (paymentIntentId: string) =>
    listAll(
      "refunds.list",
      (page, options) => stripe.refunds.list({ payment_intent: paymentIntentId, ...page }, options),
      readRefund,
    );
  return {
    ...createBilling(stripe, asking),
    ...createPrices(stripe, asking),
    ...createSchedules(stripe, asking),
    ...createPortal(stripe, asking),
    signatureRefusal(signatureHeader, nowMs) {
      const header = readSignature(signatureHeader, nowMs);
      return "refusal" in header ? header.refusal : null;
    },
    verifyEvent: (rawBody, signatureHeader, nowMs) =>
      verifyEvent(rawBody, signatureHeader, { secrets: config.webhookSecrets, livemode, nowMs }),

    createCustomer: ({ userId, email, name }, key) =>
      write({
        name: "customers.create",
        key,
        run: (options) =>
          stripe.customers.create(
            { email, ...(name === null ? {} : { name }), metadata: { userId } },
            options,
          ),
        read: (answer) => readId(answer, "customer"),
        find: async () => {
          const named = await listAll(
            "customers.list",
            (page, options) => stripe.customers.list({ email, ...page }, options),
            readCustomer,
          );
          return named.find((customer) => customer.userId === userId) ?? null;
        },
        findOnReuse: true,
      }),

    createCheckout: (input, key) =>
      write({
        name: "checkout.sessions.create",
        key,
        run: (options) =>
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
            options,
          ),
        read: readCheckout,
        find: async () => {
          const opened = await listAll(
            "checkout.sessions.list",
            (page, options) =>
              stripe.checkout.sessions.list({ customer: input.customerId, ...page }, options),
            readCheckout,
          );
          return opened.find((session) => session.clientReferenceId === input.checkoutId) ?? null;
        },
      }),
    getCheckout,
    expireCheckout: (sessionId) =>
      write({
        name: "checkout.sessions.expire",
        key: `expire:${sessionId}`,
        run: (options) => stripe.checkout.sessions.expire(sessionId, {}, options),
        read: readCheckout,
        find: async () => {
          const now = await getCheckout(sessionId);
          return now.status === "open" ? null : now;
        },
      }),
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
    listRefunds,
    listDisputes: (paymentIntentId) =>
      listAll(
        "disputes.list",
        (page, options) =>
          stripe.disputes.list({ payment_intent: paymentIntentId, ...page }, options),
        readDispute,
      ),
    createRefund: (input, key) =>
      write({
        name: "refunds.create",
        key,
        run: (options) =>
          stripe.refunds.create(
            {
              payment_intent: input.paymentIntentId,
              ...(input.amount === undefined ? {} : { amount: input.amount }),
              metadata: {
                orderKey: input.orderKey,
                ...(input.reason === null ? {} : { reason: input.reason }),
              },
            },
            options,
          ),
        read: readRefund,
        find: async () => {
          const made = await listRefunds(input.paymentIntentId);
          return made.find((refund) => refund.orderKey === input.orderKey) ?? null;
        },
      }),

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
