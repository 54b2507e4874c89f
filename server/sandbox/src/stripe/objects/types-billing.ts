// The shapes of recurring billing: subscriptions, their schedules, invoices and invoice payments.
import type { Json, Metadata, Price, StripeObject } from "./types.ts";

export interface SubscriptionItem extends StripeObject {
  object: "subscription_item";
  created: number;
  current_period_start: number;
  current_period_end: number;
  metadata: Metadata;
  price: Price;
  quantity: number;
  subscription: string;
}

export type SubscriptionStatus =
  | "incomplete"
  | "incomplete_expired"
  | "trialing"
  | "active"
  | "past_due"
  | "canceled"
  | "unpaid";

/** The length of a free trial: a number of days from the start, or an end in unix seconds. */
export type TrialRequest = { days: number } | { end: number };

export interface Subscription extends StripeObject {
  object: "subscription";
  billing_cycle_anchor: number;
  cancel_at: number | null;
  cancel_at_period_end: boolean;
  canceled_at: number | null;
  cancellation_details: { [field: string]: Json };
  created: number;
  currency: string;
  customer: string;
  default_payment_method: string | null;
  discounts: string[];
  ended_at: number | null;
  items: { object: "list"; data: SubscriptionItem[]; has_more: boolean; url: string };
  latest_invoice: string | null;
  metadata: Metadata;
  pending_update: PendingUpdate | null;
  /** The schedule that manages it. */
  schedule: string | null;
  start_date: number;
  status: SubscriptionStatus;
  /** The free trial, current or past, in unix seconds. */
  trial_end: number | null;
  trial_start: number | null;
}

export type PendingUpdate = {
  billing_cycle_anchor: number | null;
  cancel_at_period_end: boolean | null;
  discount: null;
  discounts: null;
  expires_at: number;
  metadata: null;
  subscription_items: SubscriptionItem[];
  trial_end: null;
  trial_from_plan: null;
};

/** A discount of a phase: an existing one, or a new one from a coupon or promotion code. */
export type PhaseDiscount = {
  coupon: string | null;
  discount: string | null;
  promotion_code: string | null;
};

export type SchedulePhaseItem = {
  billing_thresholds: null;
  discounts: Json[];
  metadata: Metadata;
  plan: string;
  price: string;
  quantity: number;
  tax_rates: Json[];
};

export type SchedulePhase = {
  billing_cycle_anchor: "automatic" | "phase_start" | null;
  currency: string;
  discounts: PhaseDiscount[];
  /** Unix seconds on the billing clock. */
  end_date: number;
  items: SchedulePhaseItem[];
  metadata: Metadata;
  proration_behavior: "always_invoice" | "create_prorations" | "none";
  start_date: number;
  trial_end: number | null;
  [field: string]: Json;
};

export interface SubscriptionSchedule extends StripeObject {
  object: "subscription_schedule";
  canceled_at: number | null;
  completed_at: number | null;
  created: number;
  current_phase: { end_date: number; start_date: number } | null;
  customer: string;
  end_behavior: "cancel" | "release";
  metadata: Metadata;
  phases: SchedulePhase[];
  released_at: number | null;
  released_subscription: string | null;
  status: "not_started" | "active" | "completed" | "released" | "canceled";
  subscription: string | null;
}

export interface InvoiceLine extends StripeObject {
  object: "line_item";
  amount: number;
  subtotal: number;
  currency: string;
  description: string | null;
  discount_amounts: { amount: number; discount: string }[];
  invoice: string;
  period: { start: number; end: number };
  quantity: number;
  parent: {
    type: "subscription_item_details" | "invoice_item_details";
    invoice_item_details: {
      invoice_item: string;
      proration: boolean;
      proration_details: null;
      subscription: string | null;
    } | null;
    subscription_item_details: {
      invoice_item: string | null;
      proration: boolean;
      proration_details: { credited_items: Json } | null;
      subscription: string;
      subscription_item: string;
    } | null;
  };
}

export type BillingReason =
  | "subscription_create"
  | "subscription_cycle"
  | "subscription_update"
  | "upcoming";

export interface Invoice extends StripeObject {
  object: "invoice";
  amount_due: number;
  amount_paid: number;
  amount_remaining: number;
  attempt_count: number;
  attempted: boolean;
  auto_advance: boolean;
  automatically_finalizes_at: number | null;
  billing_reason: BillingReason;
  created: number;
  currency: string;
  customer: string;
  ending_balance: number | null;
  lines: { object: "list"; data: InvoiceLine[]; has_more: boolean; url: string };
  next_payment_attempt: number | null;
  number: string | null;
  period_start: number;
  period_end: number;
  post_payment_credit_notes_amount: number;
  pre_payment_credit_notes_amount: number;
  starting_balance: number;
  status: "draft" | "open" | "paid" | "void" | "uncollectible";
  status_transitions: {
    finalized_at: number | null;
    marked_uncollectible_at: number | null;
    paid_at: number | null;
    voided_at: number | null;
  };
  subtotal: number;
  total: number;
  parent: {
    type: "subscription_details";
    quote_details: null;
    subscription_details: { metadata: Metadata; subscription: string };
  };
}

export interface InvoicePayment extends StripeObject {
  object: "invoice_payment";
  amount_paid: number | null;
  amount_requested: number;
  created: number;
  invoice: string;
  payment: { type: "payment_intent"; payment_intent: string };
  status: "open" | "paid" | "canceled";
  status_transitions: { canceled_at: number | null; paid_at: number | null };
}
