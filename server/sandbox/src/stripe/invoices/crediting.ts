// Credit notes: one lowers an open invoice, or returns a paid one as a refund, as balance, or out of band.
import { moveBalance } from "../customers/balance.ts";
import { customerOf, lowerDue, raiseDue } from "./invoicing.ts";
import { chargeOf, createRefund } from "../payments/refunds.ts";
import { type CreditLine, newCreditLine, newCreditNote } from "../objects/new-credit.ts";
import { afterAttempt } from "../billing/subscribing.ts";
import type { Metadata } from "../objects/types.ts";
import type { Invoice } from "../objects/types-billing.ts";
import type { CreditNote } from "../objects/types-credit.ts";
import { apiError, type ApiError, badParam } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

export type CreditNoteRequest = {
  invoice: string;
  amount?: number;
  lines?: CreditLine[];
  creditAmount?: number;
  refundAmount?: number;
  outOfBandAmount?: number;
  /** An existing refund that this note accounts for. */
  refund?: string;
  reason?: string | null;
  memo?: string | null;
  metadata?: Metadata;
};

function refusal(message: string, param?: string): ApiError {
  return apiError({ status: 400, type: "invalid_request_error", message, param });
}

/** The amount of the existing refund that the note accounts for; 0 without one. */
function linkedAmount(world: World, wish: CreditNoteRequest): number {
  return wish.refund === undefined
    ? 0
    : need(world.tables.refunds, "refund", wish.refund, "refunds[0][refund]").amount;
}

/** Works out a credit note without issuing it. Throws 400 when it credits more than is left, or does not add up. */
export function planCreditNote(world: World, wish: CreditNoteRequest): CreditNote {
  const invoice = need(world.tables.invoices, "invoice", wish.invoice, "invoice");
  if (invoice.status !== "open" && invoice.status !== "paid") {
    throw refusal("You can only create credit notes for open and paid invoices.", "invoice");
  }
  const { lines = [] } = wish;
  if ((wish.amount === undefined) === (lines.length === 0)) {
    throw badParam("You must specify either `amount` or `lines`.", "amount", "parameter_missing");
  }
  const amount = wish.amount ?? lines.reduce((sum, line) => sum + line.amount, 0);
  if (amount < 1) throw badParam("Invalid positive integer", "amount", "parameter_invalid_integer");
  const credited =
    invoice.pre_payment_credit_notes_amount + invoice.post_payment_credit_notes_amount;
  if (amount > invoice.total - credited) {
    throw refusal(
      `The credit note amount (${amount}) is greater than the amount of the invoice that is left to credit (${invoice.total - credited}).`,
      "amount",
    );
  }
  const prePayment = invoice.status === "open" ? Math.min(amount, invoice.amount_remaining) : 0;
  const given =
    (wish.creditAmount ?? 0) +
    (wish.refundAmount ?? 0) +
    (wish.outOfBandAmount ?? 0) +
    linkedAmount(world, wish);
  if (given !== amount - prePayment) {
    throw refusal(
      `The sum of \`credit_amount\`, \`refund_amount\` and \`out_of_band_amount\` (${given}) must equal the post-payment amount of the credit note (${amount - prePayment}).`,
    );
  }
  const number = [...world.tables.creditNotes.values()].filter(
    (it) => it.invoice === invoice.id,
  ).length;
  return newCreditNote(world.newId("cn"), world.billingNow(), {
    invoice,
    amount,
    prePayment,
    lines: lines.map((line) => newCreditLine(world.newId("cnli"), line)),
    outOfBand: wish.outOfBandAmount ?? null,
    reason: wish.reason ?? null,
    memo: wish.memo ?? null,
    metadata: wish.metadata ?? {},
    number: `${invoice.number ?? "DRAFT"}-CN-${String(number + 1).padStart(2, "0")}`,
    pdf: `${world.publicUrl}/invoices/${invoice.id}`,
  });
}

function refundOf(world: World, invoice: Invoice, wish: CreditNoteRequest): string | undefined {
  if (wish.refund !== undefined) return wish.refund;
  if (!wish.refundAmount) return undefined;
  const payment = world.tables.invoicePayments.get(
    world.hidden.paymentByInvoice.get(invoice.id) ?? "",
  );
  if (payment === undefined)
    throw refusal("This invoice has no payment to refund.", "refund_amount");
  const charge = chargeOf(world, payment.payment.payment_intent, "refund_amount");
  return createRefund(world, charge, { amount: wish.refundAmount }).id;
}

/** Issues a credit note and applies it to the invoice, the balance and the payment. */
export function issueCreditNote(world: World, wish: CreditNoteRequest): CreditNote {
  const note = planCreditNote(world, wish);
  const invoice = need(world.tables.invoices, "invoice", note.invoice);
  const refund = refundOf(world, invoice, wish);
  world.tables.creditNotes.set(note.id, note);
  if (refund !== undefined) {
    note.refunds = [
      {
        amount_refunded: wish.refundAmount ?? linkedAmount(world, wish),
        payment_record_refund: null,
        refund,
        type: "refund",
      },
    ];
  }
  if (wish.creditAmount) {
    note.customer_balance_transaction = moveBalance(world, customerOf(world, invoice), {
      amount: -wish.creditAmount,
      type: "credit_note",
      currency: invoice.currency,
      creditNote: note.id,
      invoice: invoice.id,
    }).id;
  }
  world.emit("credit_note.created", note);
  change(world, invoice, "invoice.updated", (it) => {
    it.post_payment_credit_notes_amount += note.post_payment_amount;
    it.pre_payment_credit_notes_amount += note.pre_payment_amount;
  });
  if (note.pre_payment_amount > 0) {
    lowerDue(world, invoice, note.pre_payment_amount);
    if (invoice.amount_remaining === 0) afterAttempt(world, invoice, true);
  }
  return note;
}

/** Voids a credit note of an open invoice. Throws 400 for any other. */
export function voidCreditNote(world: World, note: CreditNote): void {
  const invoice = need(world.tables.invoices, "invoice", note.invoice);
  if (note.status === "void" || invoice.status !== "open") {
    throw refusal("You can only void a credit note of an open invoice.", "id");
  }
  change(world, note, "credit_note.voided", (it) => {
    it.status = "void";
    it.voided_at = world.billingNow();
  });
  change(world, invoice, "invoice.updated", (it) => {
    it.pre_payment_credit_notes_amount -= note.pre_payment_amount;
  });
  raiseDue(world, invoice, note.pre_payment_amount);
}
