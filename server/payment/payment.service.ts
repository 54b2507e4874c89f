// Owns the payment service: what the `payment` procedures, the webhook, the jobs and the other services ask of it.
import type { z } from "zod";
import type { adminContract } from "../../shared/src/admin.ts";
import type { paymentContract } from "../../shared/src/payment.ts";
import type { Database } from "../database/ports.ts";
import { AppError } from "../lib/errors.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { createCatalogue } from "./catalog/catalog.ts";
import { createCheckouts } from "./checkout/checkouts.ts";
import { createCustomers } from "./checkout/customers.ts";
import { createEvents } from "./events/events.ts";
import { createFulfilment } from "./sync/sync.ts";
import { createMonthlyGrants } from "./subscription/monthly-grants.ts";
import { createPlanChanges } from "./subscription/plan-changes.ts";
import { createPortal } from "./subscription/portal.ts";
import { createReconcile } from "./events/reconcile.ts";
import { createRecords, stateOf } from "./records.ts";
import { createRefundOrders } from "./refunds.ts";
import { unlessMissing } from "./stripe/errors.ts";
import type { EventReceipt, ReconcileReport } from "./payment.types.ts";
import type { StripePort } from "./stripe/port.ts";
import { createSubscriptions } from "./subscription/subscriptions.ts";

type In<Name extends keyof typeof paymentContract> = z.output<
  (typeof paymentContract)[Name]["input"]
>;
type Out<Name extends keyof typeof paymentContract> = z.output<
  (typeof paymentContract)[Name]["output"]
>;
type AdminOut<Name extends "refundPayment" | "events" | "replayEvent"> = z.output<
  (typeof adminContract)[Name]["output"]
>;

/** Dependencies of the payment service. */
export interface PaymentServiceDeps {
  readonly database: Database;
  readonly ledger: Ledger;
  readonly stripe: StripePort;
  readonly logger: Logger;
  /** Milliseconds since 1970, as Date.now; tests bring their own. */
  readonly now: () => number;
  /** The first of FRONTEND_URL: where Checkout and the portal send people back to. */
  readonly frontendUrl: string;
  /** Sign plan-change previews; the first signs, all verify (config.tokens.accessSecrets). */
  readonly signingSecrets: readonly string[];
  /** True when Stripe is the sandbox, whose objects may vanish with a restart. */
  readonly sandbox: boolean;
}

/** The `payment` procedures' work, and what the rest of the server needs of payments. */
export interface PaymentService {
  packages(): Promise<Out<"packages">>;
  /** Throws NOT_FOUND, PAYMENT_PROVIDER_ERROR. A second click gets the same session. */
  checkout(userId: string, input: In<"checkout">): Promise<Out<"checkout">>;
  /** Throws NOT_FOUND for anybody else's session, PAYMENT_PROVIDER_ERROR. */
  confirm(userId: string, input: In<"confirm">): Promise<Out<"confirm">>;
  history(userId: string, input: In<"history">): Promise<Out<"history">>;
  plans(): Promise<Out<"plans">>;
  /** Throws NOT_FOUND, CONFLICT (subscribed already), PAYMENT_PROVIDER_ERROR. */
  subscribe(userId: string, input: In<"subscribe">): Promise<Out<"subscribe">>;
  subscription(userId: string): Promise<Out<"subscription">>;
  /** Throws NOT_FOUND (no plan, no subscription), CONFLICT (same plan, not possible now), PAYMENT_PROVIDER_ERROR. */
  previewPlanChange(
    userId: string,
    input: In<"previewPlanChange">,
  ): Promise<Out<"previewPlanChange">>;
  /** Throws PREVIEW_STALE, NOT_FOUND, CONFLICT (declined), PAYMENT_PROVIDER_ERROR. */
  changePlan(userId: string, input: In<"changePlan">): Promise<Out<"changePlan">>;
  /** Keeps the current plan: a change that waits for the period's end is undone, free of charge. Throws NOT_FOUND. */
  cancelPlanChange(userId: string): Promise<Out<"cancelPlanChange">>;
  cancelSubscription(userId: string): Promise<Out<"cancelSubscription">>;
  resumeSubscription(userId: string): Promise<Out<"resumeSubscription">>;
  portal(userId: string): Promise<Out<"portal">>;
  invoices(userId: string): Promise<Out<"invoices">>;

  /**
   * user.delete: ends every live subscription at Stripe now and closes open checkouts. Safe to repeat.
   * Throws PAYMENT_PROVIDER_ERROR when Stripe cannot confirm it; then the deletion must not go on.
   */
  endSubscription(userId: string): Promise<void>;
  /**
   * admin.refundPayment; the caller writes the audit line. Throws NOT_FOUND, CONFLICT (not paid, nothing left),
   * VALIDATION_FAILED (more than is left), IDEMPOTENCY_CONFLICT, PAYMENT_PROVIDER_ERROR.
   */
  refundPayment(input: {
    paymentId: string;
    amountMinorUnits?: number;
    idempotencyKey: string;
    reason?: string;
    actorId: string;
  }): Promise<AdminOut<"refundPayment">>;
  /** admin.events, newest first. */
  listEvents(input: {
    status?: "PENDING" | "PROCESSED" | "IGNORED" | "FAILED";
    limit: number;
    cursor?: string;
  }): Promise<AdminOut<"events">>;
  /** admin.replayEvent: converges on Stripe's current truth once more. Throws NOT_FOUND. */
  replayEvent(eventId: string): Promise<AdminOut<"replayEvent">>;
  /** Id of the smallest active package of at least `shortfallCredits`, else of the largest; null when there is none. */
  suggestPackage(shortfallCredits: number): Promise<string | null>;
  /** Why a webhook with this signature header is refused before its body is read; null = read on. */
  signatureRefusal(signatureHeader: string | null): string | null;
  /** The webhook: answers once the effect is stored. Never throws. */
  receiveEvent(rawBody: Buffer, signatureHeader: string | null): Promise<EventReceipt>;
  /** Events not yet processed, for /ready and /metrics. */
  eventBacklog(): Promise<{ pending: number; failed: number }>;

  /** Job: tries pending and failed events again. Answers how many it settled. */
  retryEvents(): Promise<number>;
  /** Job: forgets events older than 90 days. Answers how many. */
  pruneEvents(): Promise<number>;
  /** Job: the monthly credits of yearly plans that are due. Answers how many grants it made. */
  grantMonthly(): Promise<number>;
  /** Job and CLI: catches up with Stripe; checkouts younger than `settleMs` (2 minutes) are left to their webhook. */
  reconcile(options?: { since?: Date; settleMs?: number }): Promise<ReconcileReport>;
  /** CLI: creates or updates products and prices from the catalogue. Answers a line per offer. */
  syncCatalogue(): Promise<readonly string[]>;
}

/** Makes the payment service. */
export function createPaymentService(deps: PaymentServiceDeps): PaymentService {
  const { models } = deps.database;
  const catalogue = createCatalogue({ models, stripe: deps.stripe, now: deps.now });
  const customers = createCustomers(deps);
  const fulfilment = createFulfilment(deps, catalogue);
  const checkouts = createCheckouts(deps, { catalogue, customers, fulfilment });
  const subscriptions = createSubscriptions(deps, {
    catalogue,
    customers,
    checkouts,
    fulfilment,
  });
  const planChanges = createPlanChanges(deps, { catalogue, subscriptions, fulfilment });
  const portal = createPortal(deps, customers);
  const events = createEvents(deps, fulfilment);
  const records = createRecords(models);
  const refund = createRefundOrders(deps, fulfilment);

  return {
    packages: async () => ({
      packages: (await catalogue.packages()).map(({ id, name, credits, price, currency }) => ({
        id,
        name,
        credits,
        price,
        currency,
      })),
    }),
    plans: async () => ({
      plans: (await catalogue.plans()).map(
        ({ id, tier, name, credits, price, currency, interval }) => ({
          id,
          tier,
          name,
          credits,
          price,
          currency,
          interval,
        }),
      ),
    }),
    suggestPackage: catalogue.suggestPackage,
    syncCatalogue: async () => [...(await catalogue.sync()), await portal.sync()],

    checkout: async (userId, { packageId }) =>
      checkouts.open(userId, { kind: "PACKAGE", offer: await catalogue.package(packageId) }),
    confirm: async (userId, { sessionId }) => {
      const checkout = await models.checkout.findUnique({
        where: { stripeSessionId: sessionId },
        select: { id: true, userId: true },
      });
      // Somebody else's session and none at all look the same.
      if (checkout === null || checkout.userId !== userId)
        throw AppError.of("NOT_FOUND", "There is no such checkout.");
      const before = await records.outcome(checkout.id, userId);
      if (before.status !== "PENDING") {
        // Whoever settled it may have died before telling: nobody is shown a balance from before it after this.
        await deps.ledger.changed([userId]);
        return before;
      }
      await fulfilment.fulfil({ kind: "checkout", sessionId });
      return records.outcome(checkout.id, userId);
    },
    history: records.history,

    subscribe: (userId, { planId }) => subscriptions.subscribe(userId, planId),
    subscription: async (userId) => ({ subscription: await subscriptions.current(userId) }),
    previewPlanChange: (userId, { planId }) => planChanges.preview(userId, planId),
    changePlan: async (userId, { planId, previewToken }) => {
      await planChanges.change(userId, planId, previewToken);
      return { subscription: await subscriptions.state(userId) };
    },
    cancelPlanChange: async (userId) => ({
      subscription: await subscriptions.cancelPlanChange(userId),
    }),
    cancelSubscription: async (userId) => ({
      subscription: await subscriptions.setCancelAtPeriodEnd(userId, true),
    }),
    resumeSubscription: async (userId) => ({
      subscription: await subscriptions.setCancelAtPeriodEnd(userId, false),
    }),
    portal: portal.open,
    invoices: async (userId) => {
      const customerId = await customers.find(userId);
      const invoices =
        customerId === null
          ? []
          : await unlessMissing(deps.stripe.listInvoices({ customerId, limit: 100 }), []);
      return {
        invoices: invoices.map((invoice) => ({
          id: invoice.id,
          number: invoice.number,
          status: invoice.status,
          amountDue: invoice.amountDue,
          amountPaid: invoice.amountPaid,
          currency: invoice.currency,
          createdAt: invoice.createdAt.toISOString(),
          hostedInvoiceUrl: invoice.hostedInvoiceUrl,
        })),
      };
    },

    endSubscription: subscriptions.end,
    refundPayment: async (order) => {
      const { refund: made, payment } = await refund(order);
      return {
        refundId: made.id,
        status: made.status,
        paymentStatus: stateOf(payment.status),
        refundedAmount: payment.refundedAmount,
      };
    },
    listEvents: records.events,
    replayEvent: async (eventId) => {
      await events.replay(eventId);
      return records.event(eventId);
    },
    signatureRefusal: (header) => deps.stripe.signatureRefusal(header, deps.now()),
    receiveEvent: events.receive,
    eventBacklog: records.eventBacklog,
    retryEvents: events.retryDue,
    pruneEvents: events.prune,
    grantMonthly: createMonthlyGrants(deps, fulfilment),
    reconcile: createReconcile(deps, { fulfilment, events, subscriptions }),
  };
}
