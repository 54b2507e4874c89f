// Freshly made invoices, their lines and payments, with every field of the real API.
import type { Metadata, Customer, Price } from "./types.ts";
import type {
  BillingReason,
  Invoice,
  InvoiceLine,
  InvoicePayment,
  Subscription,
  SubscriptionItem,
} from "./types-billing.ts";

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
  /** The invoice, and its lines, that a credit line credits. */
  credits?: { invoice: string; lines: string[] };
};

/** One invoice line. A proration references an invoice item, as at Stripe. */
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

/** The line of a standalone invoice item: a one-off charge or credit. */
export function newManualLine(
  id: string,
  invoiceItem: string,
  given: {
    amount: number;
    currency: string;
    description: string | null;
    metadata: Metadata;
    now: number;
    quantity: number;
    price: Price | null;
    subscription: string | null;
  },
): InvoiceLine {
  return {
    id,
    object: "line_item",
    amount: given.amount,
    currency: given.currency,
    description: given.description,
    discount_amounts: [],
    discountable: given.amount > 0,
    discounts: [],
    invoice: "",
    livemode: false,
    metadata: given.metadata,
    parent: {
      type: "invoice_item_details",
      invoice_item_details: {
        invoice_item: invoiceItem,
        proration: false,
        proration_details: null,
        subscription: given.subscription,
      },
      subscription_item_details: null,
    },
    period: { start: given.now, end: given.now },
    pretax_credit_amounts: [],
    pricing: {
      type: "price_details",
      price_details:
        given.price === null ? null : { price: given.price.id, product: given.price.product },
      unit_amount_decimal: String(given.price?.unit_amount ?? given.amount / given.quantity),
    },
    quantity: given.quantity,
    quantity_decimal: String(given.quantity),
    subscription: given.subscription,
    subtotal: given.amount,
    taxes: [],
  };
}

/** The fields of an invoice that start out empty. */
function blankInvoice() {
  return {
    account_tax_ids: null,
    amount_overpaid: 0,
    amount_paid: 0,
    amount_shipping: 0,
    application: null,
    attempt_count: 0,
    attempted: false,
    automatic_tax: {
      disabled_reason: null,
      enabled: false,
      liability: null,
      provider: null,
      status: null,
    },
    automatically_finalizes_at: null,
    custom_fields: null,
    customer_account: null,
    customer_address: null,
    customer_phone: null,
    customer_shipping: null,
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
    last_finalization_error: null,
    latest_revision: null,
    livemode: false,
    metadata: {},
    next_payment_attempt: null,
    number: null,
    on_behalf_of: null,
    payment_settings: {
      default_mandate: null,
      payment_method_options: null,
      payment_method_types: null,
    },
    post_payment_credit_notes_amount: 0,
    pre_payment_credit_notes_amount: 0,
    receipt_number: null,
    rendering: null,
    shipping_cost: null,
    shipping_details: null,
    starting_balance: 0,
    statement_descriptor: null,
    status_transitions: {
      finalized_at: null,
      marked_uncollectible_at: null,
      paid_at: null,
      voided_at: null,
    },
    test_clock: null,
    total_pretax_credit_amounts: [],
    total_taxes: [],
    webhooks_delivered_at: null,
  };
}

/** A draft invoice for a subscription, with its totals calculated from its lines. */
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
    ...blankInvoice(),
    account_country: "US",
    account_name: "Skywork Sandbox",
    amount_due: Math.max(0, total),
    amount_remaining: Math.max(0, total),
    auto_advance: true,
    billing_reason: given.reason,
    collection_method: "charge_automatically",
    created: now,
    currency: given.subscription.currency,
    customer: given.customer.id,
    customer_email: given.customer.email,
    customer_name: given.customer.name,
    customer_tax_exempt: "none",
    issuer: { type: "self" },
    lines: { object: "list", data: given.lines, has_more: false, url: `/v1/invoices/${id}/lines` },
    parent: {
      type: "subscription_details",
      quote_details: null,
      subscription_details: {
        metadata: { ...given.subscription.metadata },
        subscription: given.subscription.id,
      },
    },
    period_end: given.periodEnd,
    period_start: given.periodStart,
    status: "draft",
    subtotal,
    subtotal_excluding_tax: subtotal,
    total,
    total_discount_amounts:
      given.discount > 0 ? [{ amount: given.discount, discount: "di_sandbox" }] : [],
    total_excluding_tax: total,
  };
}

/** The invoice payment, which links an invoice to the payment intent that pays it. */
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
