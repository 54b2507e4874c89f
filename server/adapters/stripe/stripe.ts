// The Stripe adapter: implements payment/stripe/port.ts with the SDK, pinned to one API version. The functions of its
// parts are documented there, at the methods of the same names.
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import { CALL_LIMITS, type CallLimits } from "./calls.ts";
import * as checkouts from "./checkouts.ts";
import { createStripeClient } from "./client.ts";
import { listEvents, signatureRefusal, verifyEvent } from "./webhook-events.ts";
import * as invoices from "./invoices.ts";
import * as payments from "./payments.ts";
import * as portal from "./portal.ts";
import * as prices from "./prices.ts";
import * as schedules from "./schedules.ts";
import * as subscriptions from "./subscriptions.ts";

/** The API version all requests name, whatever the account's default. Upgraded together with the SDK. */
export const STRIPE_API_VERSION = "2026-10-28.endive";

/** What the adapter needs from the configuration. */
export interface StripeAdapterConfig {
  readonly secretKey: string;
  readonly webhookSecrets: readonly string[];
  readonly apiBase: string;
}

/** Sends the SDK's requests. */
export type StripeHttpClient = Stripe.HttpClient;

/** Returns the adapter. `limits` and `httpClient` are for tests. */
export function createStripeAdapter(
  config: StripeAdapterConfig,
  limits: CallLimits = CALL_LIMITS,
  httpClient?: StripeHttpClient,
): StripePort {
  const client = createStripeClient(createSdk(config, limits, httpClient), limits);
  const livemode = /^(sk|rk)_live_/.test(config.secretKey);
  return {
    signatureRefusal,
    verifyEvent: (rawBody, signatureHeader, nowMs) =>
      verifyEvent(rawBody, signatureHeader, { secrets: config.webhookSecrets, livemode, nowMs }),
    listEvents: (filter) => listEvents(client, filter),

    checkKey: () => prices.checkKey(client),
    createCustomer: (input, key) => checkouts.createCustomer(client, input, key),
    createCheckout: (input, key) => checkouts.createCheckout(client, input, key),
    getCheckout: (id) => checkouts.getCheckout(client, id),
    expireCheckout: (id) => checkouts.expireCheckout(client, id),
    findCheckoutByPaymentIntent: (id) => checkouts.findCheckout(client, { payment_intent: id }),
    findCheckoutBySubscription: (id) => checkouts.findCheckout(client, { subscription: id }),

    getSubscription: (id) => subscriptions.getSubscription(client, id),
    listSubscriptions: (customerId) => subscriptions.listSubscriptions(client, customerId),
    setCancellation: (id, change, key) => subscriptions.setCancellation(client, id, change, key),
    cancelSubscription: (id, key) => subscriptions.cancelSubscription(client, id, key),
    changePrice: (input, key) => subscriptions.changePrice(client, input, key),
    previewPriceChange: (input) => subscriptions.previewPriceChange(client, input),

    getSchedule: (id) => schedules.getSchedule(client, id),
    createSchedule: (subscriptionId, key) => schedules.createSchedule(client, subscriptionId, key),
    setSchedule: (input, key) => schedules.setSchedule(client, input, key),
    releaseSchedule: (id, key, keepEnd) => schedules.releaseSchedule(client, id, key, keepEnd),

    getInvoice: (id) => invoices.getInvoice(client, id),
    listInvoices: (filter) => invoices.listInvoices(client, filter),
    listInvoicePayments: (id) => invoices.listInvoicePayments(client, id),
    findInvoiceByPaymentIntent: (id) => invoices.findInvoiceByPaymentIntent(client, id),
    listCreditNotes: (invoiceId) => invoices.listCreditNotes(client, invoiceId),
    getCreditNote: (id) => invoices.getCreditNote(client, id),

    getPaymentIntentStatus: (id) => payments.getPaymentIntentStatus(client, id),
    getChargePaymentIntent: (chargeId) => payments.getChargePaymentIntent(client, chargeId),
    listRefunds: (paymentIntentId) => payments.listRefunds(client, paymentIntentId),
    listDisputes: (paymentIntentId) => payments.listDisputes(client, paymentIntentId),
    createRefund: (input, key) => payments.createRefund(client, input, key),

    createPortalSession: (customerId, returnUrl, configurationId) =>
      portal.createPortalSession(client, customerId, returnUrl, configurationId),
    ensurePortalConfiguration: () => portal.ensurePortalConfiguration(client),

    getPrice: (id) => prices.getPrice(client, id),
    findPrice: (lookupKey) => prices.findPrice(client, lookupKey),
    findLatestPrice: (productId) => prices.findLatestPrice(client, productId),
    ensureProduct: (input) => prices.ensureProduct(client, input),
    createPrice: (input, key) => prices.createPrice(client, input, key),
    labelPrice: (id, label) => prices.labelPrice(client, id, label),
    archivePrice: (id) => prices.archivePrice(client, id),
  };
}

function createSdk(
  config: StripeAdapterConfig,
  limits: CallLimits,
  httpClient?: StripeHttpClient,
): Stripe {
  const base = new URL(config.apiBase);
  const protocol = base.protocol === "http:" ? "http" : "https";
  return new Stripe(config.secretKey, {
    apiVersion: STRIPE_API_VERSION,
    protocol,
    host: base.hostname,
    port: base.port === "" ? (protocol === "http" ? 80 : 443) : Number(base.port),
    httpClient: httpClient ?? nodeHttpClient(protocol),
    maxNetworkRetries: 0,
    timeout: limits.attemptTimeoutMs,
    telemetry: false,
  });
}

function nodeHttpClient(protocol: "http" | "https"): StripeHttpClient {
  const options = { keepAlive: true, maxSockets: 64, timeout: 60_000 };
  return Stripe.createNodeHttpClient(
    protocol === "http" ? new HttpAgent(options) : new HttpsAgent(options),
  );
}
