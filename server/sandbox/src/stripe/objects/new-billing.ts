// Freshly made subscriptions and their items, with every field of the real API.
import type { Json, Metadata, Price } from "./types.ts";
import type { Subscription, SubscriptionItem } from "./types-billing.ts";

/** The legacy `plan` object that subscription items still have. */
function planOf(price: Price): { [field: string]: Json } {
  return {
    id: price.id,
    object: "plan",
    active: price.active,
    amount: price.unit_amount,
    amount_decimal: String(price.unit_amount),
    billing_scheme: "per_unit",
    created: price.created,
    currency: price.currency,
    interval: price.recurring?.interval ?? "month",
    interval_count: price.recurring?.interval_count ?? 1,
    livemode: false,
    metadata: price.metadata,
    meter: null,
    nickname: price.nickname,
    product: price.product,
    tiers_mode: null,
    transform_usage: null,
    trial_period_days: null,
    usage_type: "licensed",
  };
}

/** One item of a subscription. The period's dates are stored on the item, in unix seconds. */
export function newSubscriptionItem(
  id: string,
  given: {
    subscription: string;
    price: Price;
    quantity: number;
    created: number;
    start: number;
    end: number;
    metadata?: Metadata;
  },
): SubscriptionItem {
  return {
    id,
    object: "subscription_item",
    billing_thresholds: null,
    created: given.created,
    current_period_end: given.end,
    current_period_start: given.start,
    current_trial: null,
    discounts: [],
    metadata: given.metadata ?? {},
    plan: planOf(given.price),
    price: structuredClone(given.price),
    quantity: given.quantity,
    subscription: given.subscription,
    tax_rates: [],
  };
}

/** The fields of a subscription that start out empty. */
function blankSubscription() {
  return {
    application: null,
    application_fee_percent: null,
    automatic_tax: { disabled_reason: null, enabled: false, liability: null },
    billing_cycle_anchor_config: null,
    billing_schedules: [],
    billing_thresholds: null,
    cancel_at: null,
    cancel_at_period_end: false,
    canceled_at: null,
    customer_account: null,
    days_until_due: null,
    default_source: null,
    default_tax_rates: [],
    description: null,
    discounts: [],
    ended_at: null,
    invoice_settings: {
      account_tax_ids: null,
      custom_fields: null,
      description: null,
      footer: null,
      issuer: { type: "self" },
    },
    latest_invoice: null,
    livemode: false,
    next_pending_invoice_item_invoice: null,
    on_behalf_of: null,
    pause_collection: null,
    pending_invoice_item_interval: null,
    pending_setup_intent: null,
    pending_update: null,
    schedule: null,
    test_clock: null,
    transfer_data: null,
  };
}

/** A subscription that has not been paid yet. */
export function newSubscription(
  id: string,
  now: number,
  given: {
    customer: string;
    currency: string;
    items: SubscriptionItem[];
    metadata: Metadata;
    paymentMethod: string | null;
    /** The end of the free trial it starts with, which anchors the billing cycle. */
    trialEnd?: number;
  },
): Subscription {
  return {
    id,
    object: "subscription",
    ...blankSubscription(),
    billing_cycle_anchor: given.trialEnd ?? now,
    billing_mode: { flexible: null, type: "classic" },
    cancellation_details: { comment: null, feedback: null, feedback_option: null, reason: null },
    collection_method: "charge_automatically",
    created: now,
    currency: given.currency,
    customer: given.customer,
    default_payment_method: given.paymentMethod,
    items: {
      object: "list",
      data: given.items,
      has_more: false,
      url: `/v1/subscription_items?subscription=${id}`,
    },
    managed_payments: { enabled: false },
    metadata: given.metadata,
    payment_settings: {
      payment_method_options: null,
      payment_method_types: null,
      save_default_payment_method: "off",
    },
    start_date: now,
    status: given.trialEnd === undefined ? "incomplete" : "trialing",
    trial_end: given.trialEnd ?? null,
    trial_start: given.trialEnd === undefined ? null : now,
    trial_settings: {
      end_behavior: { billing_cycle_anchor: null, missing_payment_method: "create_invoice" },
    },
  };
}
