// The lifecycle of an invoice: draft, finalised, attempted, paid or failed, and the dunning that follows.
import { cardOf } from "../customers/customers.ts";
import { discountOn } from "../checkout/discount.ts";
import { moveBalance } from "../customers/balance.ts";
import { cancelIntent, confirmIntent, createIntent } from "../payments/payments.ts";
import { markInvoiced, returnPending } from "./pending.ts";
import {
  type LineDraft,
  newInvoice,
  newInvoiceLine,
  newInvoicePayment,
} from "../objects/new-invoice.ts";
import type { Coupon, Customer } from "../objects/types.ts";
import type {
  BillingReason,
  Invoice,
  InvoiceLine,
  InvoicePayment,
  Subscription,
} from "../objects/types-billing.ts";
import { change, need, type World } from "../state/world.ts";

const DAY_SECONDS = 86_400;
/** How long renewal invoices stay drafts, as at Stripe. */
const DRAFT_SECONDS = 3_600;

/** The customer of a subscription or an invoice. */
export function customerOf(world: World, owner: { customer: string }): Customer {
  return need(world.tables.customers, "customer", owner.customer, "customer");
}

/** The subscription an invoice belongs to. */
export function subscriptionOf(world: World, invoice: Invoice): Subscription {
  return need(
    world.tables.subscriptions,
    "subscription",
    invoice.parent.subscription_details.subscription,
  );
}

/** Invoices of a subscription that are still drafts or open. */
export function unfinished(world: World, subscriptionId: string): Invoice[] {
  const ids = world.hidden.unfinishedInvoices.get(subscriptionId) ?? new Set();
  return [...ids].flatMap((id) => world.tables.invoices.get(id) ?? []);
}

function track(world: World, invoice: Invoice): void {
  const id = invoice.parent.subscription_details.subscription;
  const ids = world.hidden.unfinishedInvoices.get(id) ?? new Set();
  if (invoice.status === "draft" || invoice.status === "open") ids.add(invoice.id);
  else ids.delete(invoice.id);
  world.hidden.unfinishedInvoices.set(id, ids);
}

/** Turns drafts into lines of invoice `invoiceId`. */
export function makeLines(world: World, invoiceId: string, drafts: LineDraft[]): InvoiceLine[] {
  return drafts.map((draft) =>
    newInvoiceLine(world.newId("il"), draft.proration ? world.newId("ii") : null, invoiceId, draft),
  );
}

/** Stores a draft invoice, emits `invoice.created`, and makes it the subscription's latest invoice. */
export function createInvoice(
  world: World,
  given: {
    subscription: Subscription;
    reason: BillingReason;
    drafts: LineDraft[];
    /** Pending lines created earlier, which this invoice takes. */
    waiting?: InvoiceLine[];
    periodStart: number;
    periodEnd: number;
    coupon: Coupon | undefined;
  },
): Invoice {
  const id = world.newId("in");
  const waiting = given.waiting ?? [];
  for (const line of waiting) line.invoice = id;
  markInvoiced(world, waiting, id);
  const lines = [...waiting, ...makeLines(world, id, given.drafts)];
  const discountable = lines
    .filter((line) => line.discountable === true)
    .reduce((sum, line) => sum + line.amount, 0);
  const discount = given.coupon === undefined ? 0 : discountOn(given.coupon, discountable);
  const invoice = newInvoice(id, world.billingNow(), {
    customer: customerOf(world, given.subscription),
    subscription: given.subscription,
    reason: given.reason,
    lines,
    periodStart: given.periodStart,
    periodEnd: given.periodEnd,
    discount,
  });
  if (given.reason === "subscription_cycle")
    invoice.automatically_finalizes_at = world.billingNow() + DRAFT_SECONDS;
  world.tables.invoices.set(id, invoice);
  track(world, invoice);
  given.subscription.latest_invoice = id;
  world.emit("invoice.created", invoice);
  return invoice;
}

/** Finalises a draft: applies the customer's balance, fixes the amounts, assigns a number, and opens the invoice. */
export function finalizeInvoice(world: World, invoice: Invoice): void {
  if (invoice.status !== "draft") return;
  const customer = customerOf(world, invoice);
  const applied = balanceShare(customer.balance, invoice.total);
  invoice.starting_balance = customer.balance;
  invoice.ending_balance = customer.balance + applied;
  invoice.amount_due = Math.max(0, invoice.total - applied);
  invoice.amount_remaining = invoice.amount_due;
  invoice.status = "open";
  invoice.number = `${customer.invoice_prefix}-${String(customer.next_invoice_sequence).padStart(4, "0")}`;
  invoice.effective_at = world.billingNow();
  invoice.automatically_finalizes_at = null;
  invoice.status_transitions.finalized_at = world.billingNow();
  invoice.hosted_invoice_url = `${world.publicUrl}/invoices/${invoice.id}`;
  invoice.invoice_pdf = `${world.publicUrl}/invoices/${invoice.id}`;
  customer.next_invoice_sequence += 1;
  if (applied !== 0) {
    moveBalance(world, customer, {
      amount: applied,
      type: "applied_to_invoice",
      currency: invoice.currency,
      invoice: invoice.id,
    });
  }
  if (invoice.amount_due > 0) {
    const intent = createIntent(
      world,
      {
        amount: invoice.amount_due,
        currency: invoice.currency,
        customer: invoice.customer,
        description:
          invoice.billing_reason === "subscription_create"
            ? "Subscription creation"
            : "Subscription update",
        metadata: {},
        setupFutureUsage: "off_session",
      },
      world.billingNow(),
    );
    const payment = newInvoicePayment(world.newId("inpay"), world.billingNow(), invoice, intent.id);
    world.tables.invoicePayments.set(payment.id, payment);
    world.hidden.paymentByInvoice.set(invoice.id, payment.id);
  }
  world.emit("invoice.finalized", invoice);
}

/**
 * What an invoice adds to the customer's balance (minor units; a negative balance is credit).
 * A negative total becomes credit; a positive total uses up credit, or collects a balance owed.
 */
export function balanceShare(balance: number, total: number): number {
  if (total < 0) return total;
  return balance < 0 ? Math.min(-balance, total) : -balance;
}

/** The invoice's payment; none when nothing is due. */
function paymentOf(world: World, invoice: Invoice): InvoicePayment | undefined {
  return world.tables.invoicePayments.get(world.hidden.paymentByInvoice.get(invoice.id) ?? "");
}

function markPaid(world: World, invoice: Invoice, payment: InvoicePayment | undefined): void {
  const now = world.billingNow();
  change(world, invoice, "invoice.updated", (it) => {
    it.status = "paid";
    it.amount_paid = it.amount_due;
    it.amount_remaining = 0;
    it.auto_advance = false;
    it.next_payment_attempt = null;
    it.status_transitions.paid_at = now;
  });
  track(world, invoice);
  world.emit("invoice.paid", invoice);
  world.emit("invoice.payment_succeeded", invoice);
  if (payment === undefined) return;
  payment.status = "paid";
  payment.amount_paid = payment.amount_requested;
  payment.status_transitions.paid_at = now;
  world.emit("invoice_payment.paid", payment);
}

/** Attempts to collect an open invoice once. Returns whether it is paid. The caller updates the subscription. */
export function tryInvoice(world: World, invoice: Invoice): boolean {
  if (invoice.status === "paid") return true;
  if (invoice.status !== "open") return false;
  const payment = paymentOf(world, invoice);
  if (invoice.amount_due === 0 || payment === undefined) {
    invoice.attempted = true;
    markPaid(world, invoice, undefined);
    return true;
  }
  const intent = need(
    world.tables.paymentIntents,
    "payment_intent",
    payment.payment.payment_intent,
  );
  const failing = world.hidden.failingCards.has(invoice.customer);
  cardOf(world, customerOf(world, invoice));
  invoice.attempted = true;
  invoice.attempt_count += 1;
  confirmIntent(world, intent, failing ? "declined" : "paid", world.billingNow());
  if (!failing) {
    markPaid(world, invoice, payment);
    return true;
  }
  const waitDays = world.dunning.retryAfterDays[invoice.attempt_count - 1];
  change(world, invoice, "invoice.updated", (it) => {
    it.next_payment_attempt =
      waitDays === undefined || !it.auto_advance
        ? null
        : world.billingNow() + waitDays * DAY_SECONDS;
  });
  world.emit("invoice.payment_failed", invoice);
  return false;
}

function changeDue(world: World, invoice: Invoice, by: number): void {
  change(world, invoice, "invoice.updated", (it) => {
    it.amount_due += by;
    it.amount_remaining += by;
  });
  const payment = paymentOf(world, invoice);
  const intent = world.tables.paymentIntents.get(payment?.payment.payment_intent ?? "");
  if (payment !== undefined) payment.amount_requested += by;
  if (intent !== undefined) intent.amount += by;
}

/** Lowers an open invoice by a credit note's `amount`. With nothing left to pay, the invoice becomes paid. */
export function lowerDue(world: World, invoice: Invoice, amount: number): void {
  changeDue(world, invoice, -amount);
  if (invoice.amount_remaining > 0) return;
  const payment = paymentOf(world, invoice);
  const intent = world.tables.paymentIntents.get(payment?.payment.payment_intent ?? "");
  if (intent !== undefined) cancelIntent(world, intent);
  if (payment !== undefined) payment.status = "canceled";
  markPaid(world, invoice, undefined);
}

/** Raises an open invoice by a voided credit note's `amount`. */
export function raiseDue(world: World, invoice: Invoice, amount: number): void {
  changeDue(world, invoice, amount);
}

/** Voids an open or draft invoice, returning its pending items and the balance it used. */
export function voidInvoice(world: World, invoice: Invoice): void {
  if (invoice.status !== "open" && invoice.status !== "draft") return;
  const customer = customerOf(world, invoice);
  const used =
    invoice.ending_balance === null ? 0 : invoice.ending_balance - invoice.starting_balance;
  change(world, invoice, "invoice.voided", (it) => {
    it.status = "void";
    it.auto_advance = false;
    it.next_payment_attempt = null;
    it.status_transitions.voided_at = world.billingNow();
  });
  track(world, invoice);
  returnPending(world, invoice, invoice.parent.subscription_details.subscription);
  if (used !== 0) {
    moveBalance(world, customer, {
      amount: -used,
      type: "unapplied_from_invoice",
      currency: invoice.currency,
      invoice: invoice.id,
    });
  }
}
