// Shapes of payments: what is stored, and what the parts of payments share with their callers.
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
  /** Whether it is sold still. */
  readonly isActive: boolean;
}

/** A plan as sold; `credits` per month. */
export interface PlanOffer extends PackageOffer {
  readonly tier: string;
  readonly interval: BillingInterval;
}

/** A plan and the price somebody pays for it. */
export interface PricedPlan {
  /** With what the price costs and was sold with, which the catalog need not offer any more. */
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
  /** Null until Stripe has answered. */
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

/** What a payment is found by. */
export type PaymentKey =
  | { readonly id: string }
  | { readonly stripeSessionId: string }
  | { readonly stripePaymentId: string }
  | { readonly stripeInvoiceId: string };

/** A payment to be stored; what is left out is null or 0. */
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
  /** Stripe's own word. */
  readonly status: string;
  /** The user's id while it is live: at most one live subscription per user. */
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
  /** Next monthly grant of a yearly plan; null when none is due. */
  readonly nextGrantAt: Date | null;
  readonly createdAt: Date;
}

/** A subscription to be stored. */
export type NewSubscription = Omit<Subscription, "returnedCredits">;

/** An event as kept: the ids needed to read it again at Stripe, and nothing about the person. */
export type StoredNotice = Pick<
  StripeEventNotice,
  "type" | "objectId" | "objectType" | "paymentIntentId" | "chargeId"
>;

/** A stored event. */
export interface StoredEvent {
  readonly id: string;
  readonly status: "PENDING" | "PROCESSED" | "IGNORED" | "FAILED";
  /** IGNORED because Stripe did not know its object: not for good, it is tried again. */
  readonly isUnknown: boolean;
  readonly attempts: number;
  readonly lastError: string | null;
  readonly receivedAt: Date;
  readonly notice: StoredNotice;
}

/** Events that are stored but not processed. */
export interface EventBacklog {
  readonly pending: number;
  readonly failed: number;
}

/** A refund that an administrator orders. Without an amount: all that is left. */
export interface RefundOrder {
  readonly paymentId: string;
  readonly amountMinorUnits?: number | undefined;
  readonly idempotencyKey: string;
  readonly reason?: string | undefined;
  readonly actorId: string;
}

/** What a webhook delivery came to. `refused` = 400, `retry` = 5xx. */
export type EventReceipt =
  | { readonly outcome: "processed" | "ignored" | "known" }
  | { readonly outcome: "refused"; readonly reason: string }
  | { readonly outcome: "retry"; readonly reason: string };

/** What reconcile found and mended. */
export interface ReconcileReport {
  readonly eventsSeen: number;
  readonly eventsRecovered: number;
  readonly paymentsRepaired: number;
  readonly invoicesRepaired: number;
  readonly subscriptionsRepaired: number;
  readonly checkoutsClosed: number;
  /** Whether it saw all missed events and invoices, so that the next run need not look at this one's time again. */
  readonly caughtUp: boolean;
  /** What could not be mended, a sentence each. */
  readonly problems: readonly string[];
}
