// Types of payments: what is stored, and what the parts of this feature share with their callers.
import type { z } from "zod";
import type { adminContract } from "../../shared/src/admin.ts";
import type { BillingInterval, paymentContract } from "../../shared/src/payment.ts";
import type { StripeEventNotice, StripePrice } from "./stripe/port.ts";

type Contract = typeof paymentContract;
export type PaymentInput<Name extends keyof Contract> = z.output<Contract[Name]["input"]>;
export type PaymentOutput<Name extends keyof Contract> = z.output<Contract[Name]["output"]>;
export type PaymentAdminOutput<Name extends "refundPayment" | "events" | "replayEvent"> = z.output<
  (typeof adminContract)[Name]["output"]
>;

/** A package as sold. Prices in minor units. */
export interface PackageOffer {
  readonly id: string;
  readonly name: string;
  readonly credits: number;
  readonly price: number;
  readonly currency: string;
  readonly stripePriceId: string | null;
  /** Whether it is still sold. */
  readonly isActive: boolean;
}

/** A plan as sold; `credits` per month. */
export interface PlanOffer extends PackageOffer {
  readonly tier: string;
  readonly interval: BillingInterval;
}

/** A plan and the price a subscriber pays for it. */
export interface PricedPlan {
  /** With the amount and credits of that price, which the catalog may no longer offer. */
  readonly plan: PlanOffer;
  readonly price: StripePrice;
}

/** A checkout of ours: what was offered, and its session at Stripe. */
export interface Checkout {
  readonly id: string;
  readonly userId: string;
  readonly kind: "PACKAGE" | "PLAN";
  readonly offerId: string;
  readonly credits: number;
  readonly amount: number;
  readonly currency: string;
  /** Null until Stripe has responded. */
  readonly stripeSessionId: string | null;
  readonly expiresAt: Date;
  readonly createdAt: Date;
}

/** A payment: one purchase, or one invoice of a subscription. Money in minor units; see prisma/schema.prisma. */
export interface Payment {
  readonly id: string;
  readonly userId: string;
  readonly stripeSessionId: string | null;
  /** The payment intent. */
  readonly stripePaymentId: string | null;
  readonly stripeInvoiceId: string | null;
  readonly packageId: string | null;
  readonly subscriptionId: string | null;
  readonly amount: number;
  readonly total: number | null;
  readonly currency: string;
  readonly status: string;
  readonly creditsPurchased: number;
  readonly creditsWorth: number | null;
  readonly invoiceLines: string | null;
  readonly refundedAmount: number;
  readonly creditedAmount: number;
  readonly disputedAmount: number;
  readonly refundedCredits: number;
  readonly disputedCredits: number;
  readonly version: number;
  readonly createdAt: Date;
  /** Null until it is paid. */
  readonly paidAt: Date | null;
}

/** A unique key to find a payment by. */
export type PaymentKey =
  | { readonly id: string }
  | { readonly stripeSessionId: string }
  | { readonly stripePaymentId: string }
  | { readonly stripeInvoiceId: string };

/** A payment to store; omitted fields are null or 0. */
export type NewPayment = Pick<
  Payment,
  "id" | "userId" | "amount" | "currency" | "status" | "creditsPurchased" | "createdAt"
> &
  Partial<Payment>;

/** Our copy of a Stripe subscription. */
export interface Subscription {
  readonly id: string;
  readonly userId: string;
  readonly planId: string;
  readonly stripeSubscriptionId: string;
  readonly stripeCustomerId: string;
  /** Stripe's own status. */
  readonly status: string;
  /** The user's id while it is live, otherwise null. Unique: at most one live subscription per user. */
  readonly liveKey: string | null;
  readonly quantity: number;
  readonly currentPeriodStart: Date;
  readonly currentPeriodEnd: Date;
  readonly cancelAtPeriodEnd: boolean;
  readonly cancelAt: Date | null;
  readonly canceledAt: Date | null;
  readonly pendingPlanId: string | null;
  readonly pendingPlanAt: Date | null;
  readonly stripeScheduleId: string | null;
  readonly returnedCredits: number;
  readonly endedAt: Date | null;
  readonly version: number;
  /** When the next monthly grant of a yearly plan is due; null when there is none. */
  readonly nextGrantAt: Date | null;
  readonly createdAt: Date;
}

/** A subscription to store. */
export type NewSubscription = Omit<Subscription, "returnedCredits">;

/** An event as stored: the ids needed to read its object at Stripe again, and no personal data. */
export type StoredNotice = Pick<
  StripeEventNotice,
  "type" | "objectId" | "objectType" | "paymentIntentId" | "chargeId"
>;

/** A stored event. */
export interface StoredEvent {
  readonly id: string;
  readonly status: "PENDING" | "PROCESSED" | "IGNORED" | "FAILED";
  /** IGNORED because Stripe did not know its object. Not final: it is retried. */
  readonly isUnknown: boolean;
  readonly attempts: number;
  readonly lastError: string | null;
  readonly receivedAt: Date;
  readonly notice: StoredNotice;
}

/** How many events are stored but not processed. */
export interface EventBacklog {
  readonly pending: number;
  readonly failed: number;
}

/** A refund ordered by an administrator. Without an amount: everything that is left. */
export interface RefundOrder {
  readonly paymentId: string;
  readonly amountMinorUnits?: number | undefined;
  readonly idempotencyKey: string;
  readonly reason?: string | undefined;
  readonly actorId: string;
}

/** The outcome of a webhook delivery. `refused` = 400, `retry` = 5xx. */
export type EventReceipt =
  | { readonly outcome: "processed" | "ignored" | "known" }
  | { readonly outcome: "refused"; readonly reason: string }
  | { readonly outcome: "retry"; readonly reason: string };

/** What reconcile found and fixed. */
export interface ReconcileReport {
  readonly eventsSeen: number;
  readonly eventsRecovered: number;
  readonly paymentsRepaired: number;
  readonly invoicesRepaired: number;
  readonly subscriptionsRepaired: number;
  readonly checkoutsClosed: number;
  /** Whether it covered all missed events and invoices, so that the next run need not cover this period again. */
  readonly caughtUp: boolean;
  /** What could not be fixed, a sentence each. */
  readonly problems: readonly string[];
}
