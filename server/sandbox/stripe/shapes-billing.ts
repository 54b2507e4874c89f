// Owns freshly made subscriptions, invoices, their lines and payments, with every field of the real API.
import type {
  BillingReason,
  Customer,
  Invoice,
  InvoiceLine,
  InvoicePayment,
  Json,
  Metadata,
  Price,
  Subscription,
  SubscriptionItem,
} from "./types.ts";

/** The old `plan` object that subscription items still carry. */
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

/** One item of a subscription; the period dates live here, in unix seconds. */
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
  },
): Subscription {
  return {
    id,
    object: "subscription",
    application: null,
    application_fee_percent: null,
    automatic_tax: { disabled_reason: null, enabled: false, liability: null },
    billing_cycle_anchor: now,
    billing_cycle_anchor_config: null,
    billing_mode: { flexible: null, type: "classic" },
    billing_schedules: [],
    billing_thresholds: null,
    cancel_at: null,
    cancel_at_period_end: false,
    canceled_at: null,
    cancellation_details: { comment: null, feedback: null, feedback_option: null, reason: null },
    collection_method: "charge_automatically",
    created: now,
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    days_until_due: null,
    default_payment_method: given.paymentMethod,
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
    items: {
      object: "list",
      data: given.items,
      has_more: false,
      url: `/v1/subscription_items?subscription=${id}`,
    },
    latest_invoice: null,
    livemode: false,
    managed_payments: { enabled: false },
    metadata: given.metadata,
    next_pending_invoice_item_invoice: null,
    on_behalf_of: null,
    pause_collection: null,
    payment_settings: {
      payment_method_options: null,
      payment_method_types: null,
      save_default_payment_method: "off",
    },
    pending_invoice_item_interval: null,
    pending_setup_intent: null,
    pending_update: null,
    schedule: null,
    start_date: now,
    status: "incomplete",
    test_clock: null,
    transfer_data: null,
    trial_end: null,
    trial_settings: { end_behavior: { missing_payment_method: "create_invoice" } },
    trial_start: null,
  };
}

export type LineDraft = {
  item: SubscriptionItem;
  price: Price;
  amount: number;
  quantity: number;
  description: string;
  start: number;
  end: number;
  proration: boolean;
  discountAmount?: number;
  /** The invoice that a credit line gives back from. */
  credits?: { invoice: string; lines: string[] };
};

/** One invoice line. Prorations point at the invoice item they would have at Stripe. */
export function newInvoiceLine(
  id: string,
  invoiceItem: string | null,
  invoice: string,
  draft: LineDraft,
): InvoiceLine {
  return {
    id,
    object: "line_item",
    amount: draft.amount,
    currency: draft.price.currency,
    description: draft.description,
    discount_amounts: draft.discountAmount
      ? [{ amount: draft.discountAmount, discount: "di_sandbox" }]
      : [],
    discountable: !draft.proration,
    discounts: [],
    invoice,
    livemode: false,
    metadata: {},
    parent: {
      type: "subscription_item_details",
      invoice_item_details: null,
      subscription_item_details: {
        invoice_item: invoiceItem,
        proration: draft.proration,
        proration_details: {
          credited_items: draft.credits
            ? { invoice: draft.credits.invoice, invoice_line_items: draft.credits.lines }
            : null,
        },
        subscription: draft.item.subscription,
        subscription_item: draft.item.id,
      },
    },
    period: { start: draft.start, end: draft.end },
    pretax_credit_amounts: [],
    pricing: {
      type: "price_details",
      price_details: { price: draft.price.id, product: draft.price.product },
      unit_amount_decimal: String(draft.price.unit_amount),
    },
    quantity: draft.quantity,
    quantity_decimal: String(draft.quantity),
    subscription: draft.item.subscription,
    subtotal: draft.amount,
    taxes: [],
  };
}

/** A draft invoice for a subscription; totals follow from its lines. */
export function newInvoice(
  id: string,
  now: number,
  given: {
    customer: Customer;
    subscription: Subscription;
    reason: BillingReason;
    lines: InvoiceLine[];
    periodStart: number;
    periodEnd: number;
    discount: number;
  },
): Invoice {
  const subtotal = given.lines.reduce((sum, line) => sum + line.amount, 0);
  const total = subtotal - given.discount;
  return {
    id,
    object: "invoice",
    account_country: "US",
    account_name: "Skywork Sandbox",
    account_tax_ids: null,
    amount_due: Math.max(0, total),
    amount_overpaid: 0,
    amount_paid: 0,
    amount_remaining: Math.max(0, total),
    amount_shipping: 0,
    application: null,
    attempt_count: 0,
    attempted: false,
    auto_advance: true,
    automatic_tax: {
      disabled_reason: null,
      enabled: false,
      liability: null,
      provider: null,
      status: null,
    },
    automatically_finalizes_at: null,
    billing_reason: given.reason,
    collection_method: "charge_automatically",
    created: now,
    currency: given.subscription.currency,
    custom_fields: null,
    customer: given.customer.id,
    customer_account: null,
    customer_address: null,
    customer_email: given.customer.email,
    customer_name: given.customer.name,
    customer_phone: null,
    customer_shipping: null,
    customer_tax_exempt: "none",
    customer_tax_ids: [],
    default_payment_method: null,
    default_source: null,
    default_tax_rates: [],
    description: null,
    discounts: [],
    due_date: null,
    effective_at: null,
    ending_balance: null,
    footer: null,
    from_invoice: null,
    hosted_invoice_url: null,
    invoice_pdf: null,
    issuer: { type: "self" },
    last_finalization_error: null,
    latest_revision: null,
    lines: { object: "list", data: given.lines, has_more: false, url: `/v1/invoices/${id}/lines` },
    livemode: false,
    metadata: {},
    next_payment_attempt: null,
    number: null,
    on_behalf_of: null,
    parent: {
      type: "subscription_details",
      quote_details: null,
      subscription_details: {
        metadata: { ...given.subscription.metadata },
        subscription: given.subscription.id,
      },
    },
    payment_settings: {
      default_mandate: null,
      payment_method_options: null,
      payment_method_types: null,
    },
    period_end: given.periodEnd,
    period_start: given.periodStart,
    post_payment_credit_notes_amount: 0,
    pre_payment_credit_notes_amount: 0,
    receipt_number: null,
    rendering: null,
    shipping_cost: null,
    shipping_details: null,
    starting_balance: 0,
    statement_descriptor: null,
    status: "draft",
    status_transitions: {
      finalized_at: null,
      marked_uncollectible_at: null,
      paid_at: null,
      voided_at: null,
    },
    subtotal,
    subtotal_excluding_tax: subtotal,
    test_clock: null,
    total,
    total_discount_amounts:
      given.discount > 0 ? [{ amount: given.discount, discount: "di_sandbox" }] : [],
    total_excluding_tax: total,
    total_pretax_credit_amounts: [],
    total_taxes: [],
    webhooks_delivered_at: null,
  };
}

/** The tie between an invoice and the payment intent that pays it. */
export function newInvoicePayment(
  id: string,
  now: number,
  invoice: Invoice,
  intent: string,
): InvoicePayment {
  return {
    id,
    object: "invoice_payment",
    amount_paid: null,
    amount_requested: invoice.amount_due,
    created: now,
    currency: invoice.currency,
    invoice: invoice.id,
    is_default: true,
    livemode: false,
    payment: { type: "payment_intent", payment_intent: intent },
    status: "open",
    status_transitions: { canceled_at: null, paid_at: null },
  };
}
