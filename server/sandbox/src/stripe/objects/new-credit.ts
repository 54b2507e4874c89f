// Freshly made credit notes and their lines, with every field of the real API.
import type { Metadata, StripeObject } from "./types.ts";
import type { Invoice } from "./types-billing.ts";
import type { CreditNote } from "./types-credit.ts";

export type CreditLine = {
  amount: number;
  description: string | null;
  quantity: number;
  invoiceLine: string | null;
  metadata: Metadata;
};

/** One line of a credit note. */
export function newCreditLine(id: string, given: CreditLine): StripeObject {
  const custom = given.invoiceLine === null;
  const unit = custom ? Math.round(given.amount / given.quantity) : null;
  return {
    id,
    object: "credit_note_line_item",
    amount: given.amount,
    description: given.description,
    discount_amount: 0,
    discount_amounts: [],
    ...(custom ? {} : { invoice_line_item: given.invoiceLine }),
    livemode: false,
    metadata: given.metadata,
    pretax_credit_amounts: [],
    quantity: given.quantity,
    tax_rates: [],
    taxes: [],
    type: custom ? "custom_line_item" : "invoice_line_item",
    unit_amount: unit,
    unit_amount_decimal: unit === null ? null : String(unit),
  };
}

/** A credit note for an invoice. `prePayment` is the part that lowers the amount still due. */
export function newCreditNote(
  id: string,
  now: number,
  given: {
    invoice: Invoice;
    amount: number;
    prePayment: number;
    lines: StripeObject[];
    outOfBand: number | null;
    reason: string | null;
    memo: string | null;
    metadata: Metadata;
    number: string;
    pdf: string;
  },
): CreditNote {
  const post = given.amount - given.prePayment;
  return {
    id,
    object: "credit_note",
    amount: given.amount,
    amount_shipping: 0,
    created: now,
    currency: given.invoice.currency,
    customer: given.invoice.customer,
    customer_account: null,
    customer_balance_transaction: null,
    discount_amount: 0,
    discount_amounts: [],
    effective_at: now,
    invoice: given.invoice.id,
    lines: {
      object: "list",
      data: given.lines,
      has_more: false,
      url: `/v1/credit_notes/${id}/lines`,
    },
    livemode: false,
    memo: given.memo,
    metadata: given.metadata,
    number: given.number,
    out_of_band_amount: given.outOfBand,
    pdf: given.pdf,
    post_payment_amount: post,
    pre_payment_amount: given.prePayment,
    pretax_credit_amounts: [],
    reason: given.reason,
    refunds: [],
    shipping_cost: null,
    status: "issued",
    subtotal: given.amount,
    subtotal_excluding_tax: given.amount,
    total: given.amount,
    total_excluding_tax: given.amount,
    total_taxes: [],
    type: given.prePayment === 0 ? "post_payment" : post === 0 ? "pre_payment" : "mixed",
    voided_at: null,
  };
}
