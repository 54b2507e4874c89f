// The contract of the `payment` procedures: packages, checkouts, subscriptions, invoices.
import { z } from "zod";
import {
  credits,
  currency,
  id,
  isoDate,
  limit,
  minorUnits,
  nothing,
  offset,
  stripeId,
  text,
} from "./primitives.ts";
import { mutation, query } from "./procedure.ts";

export const PAYMENT_STATES = [
  "PENDING",
  "SUCCESS",
  "FAILED",
  "REFUNDED",
  "PARTIALLY_REFUNDED",
  "DISPUTED",
] as const;
export const paymentState = z.enum(PAYMENT_STATES);
/** One of PAYMENT_STATES. */
export type PaymentState = z.infer<typeof paymentState>;

export const billingInterval = z.enum(["month", "year"]);
/** How often a plan is paid. */
export type BillingInterval = z.infer<typeof billingInterval>;

/** One purchase or paid invoice, as its payer and an administrator see it. */
export const paymentLine = z.object({
  id,
  amount: minorUnits,
  currency,
  status: paymentState,
  creditsPurchased: credits,
  refundedAmount: minorUnits,
  createdAt: isoDate,
});

export const creditPackage = z.object({
  id,
  name: z.string(),
  credits,
  price: minorUnits,
  currency,
});

export const plan = z.object({
  id,
  tier: z.string(),
  name: z.string(),
  /** Per month, whatever the interval. */
  credits,
  price: minorUnits,
  currency,
  interval: billingInterval,
});

export const subscriptionState = z.object({
  id,
  planId: id,
  tier: z.string(),
  interval: billingInterval,
  /** Stripe's own status: active, trialing, past_due, canceled, unpaid, incomplete, … */
  status: z.string(),
  credits,
  price: minorUnits,
  currency,
  currentPeriodStart: isoDate,
  currentPeriodEnd: isoDate,
  /** Whether it ends with the current period. */
  cancelAtPeriodEnd: z.boolean(),
  /** When it ends, with this period or later; null if it continues. */
  cancelAt: isoDate.nullable(),
  /** The cheaper plan that follows when the paid period ends; until then the change can be undone free of charge. */
  pendingPlan: z.object({ planId: id, name: z.string(), effectiveAt: isoDate }).nullable(),
});

const checkoutAnswer = z.object({
  sessionId: stripeId,
  checkoutUrl: z.string(),
});

export const paymentContract = {
  packages: query({
    input: nothing,
    output: z.object({ packages: z.array(creditPackage) }),
  }),
  checkout: mutation({
    input: z.strictObject({ packageId: id }),
    output: checkoutAnswer,
  }),
  confirm: mutation({
    input: z.strictObject({ sessionId: stripeId }),
    output: z.object({
      status: paymentState,
      creditsAdded: credits,
      balance: credits,
    }),
  }),
  history: query({
    input: z.strictObject({ limit, offset }).prefault({}),
    output: z.object({
      payments: z.array(paymentLine),
      total: z.int(),
      limit: z.int(),
      offset: z.int(),
    }),
  }),
  plans: query({ input: nothing, output: z.object({ plans: z.array(plan) }) }),
  subscribe: mutation({
    input: z.strictObject({ planId: id }),
    output: checkoutAnswer,
  }),
  subscription: query({
    input: nothing,
    output: z.object({ subscription: subscriptionState.nullable() }),
  }),
  previewPlanChange: query({
    input: z.strictObject({ planId: id }),
    output: z.object({
      amountDue: minorUnits,
      currency,
      creditsNow: credits,
      effectiveAt: isoDate,
      previewToken: z.string(),
    }),
  }),
  changePlan: mutation({
    input: z.strictObject({
      planId: id,
      previewToken: text().min(1).max(1024),
    }),
    output: z.object({ subscription: subscriptionState }),
  }),
  cancelPlanChange: mutation({
    input: nothing,
    output: z.object({ subscription: subscriptionState }),
  }),
  cancelSubscription: mutation({
    input: nothing,
    output: z.object({ subscription: subscriptionState }),
  }),
  resumeSubscription: mutation({
    input: nothing,
    output: z.object({ subscription: subscriptionState }),
  }),
  portal: mutation({ input: nothing, output: z.object({ url: z.string() }) }),
  invoices: query({
    input: nothing,
    output: z.object({
      invoices: z.array(
        z.object({
          id: stripeId,
          number: z.string().nullable(),
          status: z.string(),
          amountDue: minorUnits,
          amountPaid: minorUnits,
          currency,
          createdAt: isoDate,
          hostedInvoiceUrl: z.string().nullable(),
        }),
      ),
    }),
  }),
};
