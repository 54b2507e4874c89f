// The payment service, as used by the `payment` procedures, the webhook, the jobs and other services.
import { paymentContract } from "../../shared/src/payment.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { createCatalog } from "./catalog/catalog.ts";
import { confirmCheckout } from "./checkout/confirm-checkout.ts";
import { createCustomers } from "./checkout/customers.ts";
import { openCheckout } from "./checkout/open-checkout.ts";
import { receiveEvent, replayEvent, retryDueEvents } from "./events/events.ts";
import { reconcile, type ReconcileOptions } from "./events/reconcile.ts";
import type {
  EventBacklog,
  EventReceipt,
  PaymentAdminOutput,
  PaymentInput,
  PaymentOutput,
  ReconcileReport,
  RefundOrder,
} from "./payment.types.ts";
import type { EventTable, PaymentStore } from "./ports.ts";
import { refundPayment } from "./refund-payment.ts";
import type { StripePort } from "./stripe/port.ts";
import { cancelPlanChange, setCancelAtPeriodEnd } from "./subscription/cancel-subscription.ts";
import { changePlan } from "./subscription/change-plan.ts";
import { endSubscriptions } from "./subscription/end-subscriptions.ts";
import { listInvoices } from "./subscription/list-invoices.ts";
import { grantMonthly } from "./subscription/monthly-grants.ts";
import { createPortal } from "./subscription/portal.ts";
import { previewPlanChange } from "./subscription/preview-plan-change.ts";
import { subscribe } from "./subscription/subscribe.ts";
import { findSubscriptionState } from "./subscription/subscription-state.ts";

/** Dependencies of the payment service. */
export interface PaymentServiceDeps {
  readonly store: PaymentStore;
  readonly ledger: Pick<Ledger, "changed">;
  readonly stripe: StripePort;
  readonly logger: Logger;
  /** Milliseconds since 1970, like Date.now; tests inject their own. */
  readonly now: () => number;
  /** The first FRONTEND_URL: where Checkout and the portal send users back to. */
  readonly frontendUrl: string;
  /** For plan-change previews: the first signs, any of them verifies (config.tokens.accessSecrets). */
  readonly signingSecrets: readonly string[];
  /** Whether Stripe is the sandbox, whose objects may vanish on a restart. */
  readonly sandbox: boolean;
}

/** The work of the `payment` procedures, and what the rest of the server needs from payments. */
export interface PaymentService {
  packages(): Promise<PaymentOutput<"packages">>;
  /** Throws NOT_FOUND, PAYMENT_PROVIDER_ERROR. A second click gets the same session. */
  checkout(userId: string, input: PaymentInput<"checkout">): Promise<PaymentOutput<"checkout">>;
  /** Throws NOT_FOUND (also for another user's session), PAYMENT_PROVIDER_ERROR. */
  confirm(userId: string, input: PaymentInput<"confirm">): Promise<PaymentOutput<"confirm">>;
  history(userId: string, input: PaymentInput<"history">): Promise<PaymentOutput<"history">>;
  plans(): Promise<PaymentOutput<"plans">>;
  /** Throws NOT_FOUND, CONFLICT (subscribed already), PAYMENT_PROVIDER_ERROR. */
  subscribe(userId: string, input: PaymentInput<"subscribe">): Promise<PaymentOutput<"subscribe">>;
  subscription(userId: string): Promise<PaymentOutput<"subscription">>;
  /** Throws NOT_FOUND (no plan, no subscription), CONFLICT (same plan, not possible now), PAYMENT_PROVIDER_ERROR. */
  previewPlanChange(
    userId: string,
    input: PaymentInput<"previewPlanChange">,
  ): Promise<PaymentOutput<"previewPlanChange">>;
  /** Throws PREVIEW_STALE, NOT_FOUND, CONFLICT (declined), PAYMENT_PROVIDER_ERROR. */
  changePlan(
    userId: string,
    input: PaymentInput<"changePlan">,
  ): Promise<PaymentOutput<"changePlan">>;
  /** Keeps the current plan: undoes, free of charge, a change that waits for the period's end. Throws NOT_FOUND. */
  cancelPlanChange(userId: string): Promise<PaymentOutput<"cancelPlanChange">>;
  cancelSubscription(userId: string): Promise<PaymentOutput<"cancelSubscription">>;
  resumeSubscription(userId: string): Promise<PaymentOutput<"resumeSubscription">>;
  portal(userId: string): Promise<PaymentOutput<"portal">>;
  invoices(userId: string): Promise<PaymentOutput<"invoices">>;

  /**
   * For user.delete: ends every live subscription at Stripe immediately and closes open checkouts. Safe to repeat.
   * Throws PAYMENT_PROVIDER_ERROR when Stripe cannot confirm it; the deletion must then not proceed.
   */
  endSubscription(userId: string): Promise<void>;
  /**
   * For admin.refundPayment; the caller writes the order's audit line. Throws NOT_FOUND, CONFLICT (not paid, nothing
   * left), VALIDATION_FAILED (more than is left), IDEMPOTENCY_CONFLICT, PAYMENT_PROVIDER_ERROR.
   */
  refundPayment(order: RefundOrder): Promise<PaymentAdminOutput<"refundPayment">>;
  /** For admin.events: newest first. */
  listEvents: EventTable["list"];
  /** For admin.replayEvent: reads Stripe's current object once more. Throws NOT_FOUND. */
  replayEvent(eventId: string): Promise<PaymentAdminOutput<"replayEvent">>;
  /** Returns the id of the smallest active package covering `shortfallCredits`, else of the largest; null if none. */
  suggestPackage(shortfallCredits: number): Promise<string | null>;
  /** Returns why a webhook with this signature header is refused before its body is read; null when it is not. */
  signatureRefusal(signatureHeader: string | null): string | null;
  /** For the webhook: resolves once the effect is stored. Never rejects. */
  receiveEvent(rawBody: Buffer, signatureHeader: string | null): Promise<EventReceipt>;
  /** Whether Stripe accepts our key. Throws PAYMENT_PROVIDER_ERROR when that cannot be determined. */
  checkKey: StripePort["checkKey"];
  /** Returns how many events are not processed yet, for /ready and /metrics. */
  eventBacklog(): Promise<EventBacklog>;
  /** Returns when the oldest pending event arrived, for /metrics; null when none is pending. */
  oldestPendingEventAt(): Promise<Date | null>;

  /** Job: retries the events that are due. Returns how many were settled. */
  retryEvents(signal?: AbortSignal): Promise<number>;
  /** Job: grants the monthly credits of yearly plans that are due. Returns how many grants it made. */
  grantMonthly(signal?: AbortSignal): Promise<number>;
  /** Job and CLI: catches up with Stripe. */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>;
  /** CLI: creates or updates products, prices and the portal configuration at Stripe. Returns a line for each. */
  syncCatalog(): Promise<readonly string[]>;
}

// Parsing drops the fields the contract does not name, such as price ids.
const packagesOutput = paymentContract.packages.output;
const plansOutput = paymentContract.plans.output;

/** Returns the service; nothing is read until it is used. */
export function createPaymentService(options: PaymentServiceDeps): PaymentService {
  const deps = withState(options);
  const { store, catalog, portal } = deps;
  return {
    packages: async () => packagesOutput.parse({ packages: await catalog.packages() }),
    plans: async () => plansOutput.parse({ plans: await catalog.plans() }),
    suggestPackage: (shortfallCredits) => catalog.suggestPackage(shortfallCredits),
    syncCatalog: async () => [...(await catalog.sync()), await portal.sync()],
    checkout: async (userId, { packageId }) =>
      openCheckout(deps, userId, { kind: "PACKAGE", offer: await catalog.package(packageId) }),
    confirm: (userId, { sessionId }) => confirmCheckout(deps, userId, sessionId),
    history: (userId, page) => store.payments.history(userId, page),
    subscribe: (userId, { planId }) => subscribe(deps, userId, planId),
    subscription: async (userId) => ({ subscription: await findSubscriptionState(store, userId) }),
    previewPlanChange: (userId, { planId }) => previewPlanChange(deps, userId, planId),
    changePlan: (userId, input) => changePlan(deps, userId, input),
    cancelPlanChange: (userId) => cancelPlanChange(deps, userId),
    cancelSubscription: (userId) => setCancelAtPeriodEnd(deps, userId, true),
    resumeSubscription: (userId) => setCancelAtPeriodEnd(deps, userId, false),
    endSubscription: (userId) => endSubscriptions(deps, userId),
    portal: (userId) => portal.open(userId),
    invoices: (userId) => listInvoices(deps, userId),
    refundPayment: (order) => refundPayment(deps, order),
    signatureRefusal: (header) => deps.stripe.signatureRefusal(header, deps.now()),
    receiveEvent: (rawBody, header) => receiveEvent(deps, rawBody, header),
    replayEvent: (eventId) => replayEvent(deps, eventId),
    listEvents: (filter) => store.events.list(filter),
    checkKey: () => deps.stripe.checkKey(),
    eventBacklog: () => store.events.backlog(),
    oldestPendingEventAt: () => store.events.oldestPendingAt(),
    retryEvents: (signal) => retryDueEvents(deps, signal),
    grantMonthly: (signal) => grantMonthly(deps, signal),
    reconcile: (options) => reconcile(deps, options),
  };
}

/** Adds the state the service keeps: known prices, vanished customers, the portal configuration, events in progress. */
function withState(deps: PaymentServiceDeps) {
  const catalog = createCatalog(deps);
  const customers = createCustomers(deps);
  const portal = createPortal({ ...deps, customers });
  const eventsInProgress = new Map<string, Promise<"settled" | "failed">>();
  return { ...deps, catalog, customers, portal, eventsInProgress };
}
