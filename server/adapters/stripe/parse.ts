// Reads Stripe's responses: every field we use is checked and converted to the port's types.
import { readNote } from "./checkout-note.ts";
import type {
  StripeCheckout,
  StripeCreditNote,
  StripeDispute,
  StripeInvoice,
  StripeInvoiceLine,
  StripePrice,
  StripeRefund,
  StripeSubscription,
  StripeSubscriptionItem,
} from "../../payment/stripe/port.ts";
import { malformed } from "./calls.ts";

type Raw = Readonly<Record<string, unknown>>;

/** Returns `value` if it is a JSON object, otherwise throws that the response is malformed. */
export function objectOf(value: unknown, what: string): Raw {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(what);
  return value as Raw;
}

/** Returns an own property; what a prototype provides is never trusted. */
export function own(raw: Raw, name: string): unknown {
  return Object.hasOwn(raw, name) ? raw[name] : undefined;
}

/** Returns `value` if it is a resource of this type, otherwise throws. */
export function resource(value: unknown, object: string): Raw {
  const raw = objectOf(value, object);
  if (own(raw, "object") !== object) throw malformed(`expected ${object}`);
  text(raw, "id");
  return raw;
}

/** Returns a string that is not empty, otherwise throws. */
export function text(raw: Raw, name: string): string {
  const value = own(raw, name);
  if (typeof value !== "string" || value === "") throw malformed(name);
  return value;
}

/** Returns a string, or null when absent or empty. */
export function textOrNull(raw: Raw, name: string): string | null {
  const value = own(raw, name);
  return typeof value === "string" && value !== "" ? value : null;
}

/** Returns the id of a reference, expanded or not; null when absent. */
export function idOrNull(raw: Raw, name: string): string | null {
  const value = own(raw, name);
  if (typeof value === "string" && value !== "") return value;
  if (typeof value === "object" && value !== null) return textOrNull(value as Raw, "id");
  return null;
}

function integer(raw: Raw, name: string): number {
  const value = own(raw, name);
  if (!Number.isSafeInteger(value)) throw malformed(name);
  return value as number;
}

/** Returns an integer, or null when absent. */
export function integerOrNull(raw: Raw, name: string): number | null {
  const value = own(raw, name);
  return Number.isSafeInteger(value) ? (value as number) : null;
}

function flag(raw: Raw, name: string): boolean {
  const value = own(raw, name);
  if (typeof value !== "boolean") throw malformed(name);
  return value;
}

/** Returns a Unix timestamp in seconds as a Date, otherwise throws. */
export function date(raw: Raw, name: string): Date {
  return new Date(integer(raw, name) * 1000);
}

/** The same, or null when absent. */
function dateOrNull(raw: Raw, name: string): Date | null {
  const seconds = integerOrNull(raw, name);
  return seconds === null ? null : new Date(seconds * 1000);
}

function oneOf<Word extends string>(raw: Raw, name: string, words: readonly Word[]): Word {
  const value = text(raw, name);
  const word = words.find((candidate) => candidate === value);
  if (word === undefined) throw malformed(name);
  return word;
}

/** Whether an invoice has more lines than came with it. */
export function hasMoreLines(value: unknown): boolean {
  return readList(own(objectOf(value, "invoice"), "lines"), (line) => line).more;
}

/** Returns the items of a list, each read by `read`, and whether there are more. */
export function readList<T>(value: unknown, read: (item: unknown) => T) {
  const raw = objectOf(value, "list");
  const data = own(raw, "data");
  if (own(raw, "object") !== "list" || !Array.isArray(data)) throw malformed("list");
  return { items: data.map(read), more: own(raw, "has_more") === true };
}

/** Returns just the id of an object of this type. */
export function readId(value: unknown, object: string): { id: string } {
  return { id: text(resource(value, object), "id") };
}

/** Returns a customer's id and the user of ours it was created for. */
export function readCustomer(value: unknown): { id: string; userId: string | null } {
  const raw = resource(value, "customer");
  const metadata = nested(raw, "metadata");
  return { id: text(raw, "id"), userId: metadata && textOrNull(metadata, "userId") };
}

export function readCheckout(value: unknown): StripeCheckout {
  const raw = resource(value, "checkout.session");
  const status = oneOf(raw, "status", ["open", "complete", "expired"]);
  const paymentStatus = oneOf(raw, "payment_status", ["paid", "unpaid", "no_payment_required"]);
  return {
    id: text(raw, "id"),
    url: textOrNull(raw, "url"),
    // A paid session is complete.
    status: status === "open" && paymentStatus === "paid" ? "complete" : status,
    paymentStatus,
    customerId: idOrNull(raw, "customer"),
    paymentIntentId: idOrNull(raw, "payment_intent"),
    subscriptionId: idOrNull(raw, "subscription"),
    invoiceId: idOrNull(raw, "invoice"),
    clientReferenceId: textOrNull(raw, "client_reference_id"),
    note: readNote(nested(raw, "metadata")),
    amountSubtotal: integerOrNull(raw, "amount_subtotal"),
    amountTotal: integerOrNull(raw, "amount_total"),
    currency: textOrNull(raw, "currency")?.toLowerCase() ?? null,
    createdAt: date(raw, "created"),
  };
}

/** The discount ids of a subscription or an item, expanded or not. */
function readDiscountIds(raw: Raw): string[] {
  const discounts = own(raw, "discounts");
  return (Array.isArray(discounts) ? discounts : []).map((it: unknown) =>
    typeof it === "string" ? it : text(objectOf(it, "discount"), "id"),
  );
}

function readItem(value: unknown, subscription: Raw): StripeSubscriptionItem {
  const item = resource(value, "subscription_item");
  const price = resource(own(item, "price"), "price");
  // Not used, but a price without it is not Stripe's.
  text(price, "currency");
  return {
    id: text(item, "id"),
    priceId: text(price, "id"),
    quantity: integerOrNull(item, "quantity") ?? 1,
    discountIds: readDiscountIds(item),
    // Since the 2025 API the period is on the item; older versions had it on the subscription.
    currentPeriodStart:
      dateOrNull(item, "current_period_start") ?? date(subscription, "current_period_start"),
    currentPeriodEnd:
      dateOrNull(item, "current_period_end") ?? date(subscription, "current_period_end"),
  };
}

export function readSubscription(value: unknown): StripeSubscription {
  const raw = resource(value, "subscription");
  const [first, ...others] = readList(own(raw, "items"), (item) => readItem(item, raw)).items;
  if (first === undefined) throw malformed("subscription without items");
  return {
    id: text(raw, "id"),
    customerId: idOrNull(raw, "customer") ?? text(raw, "customer"),
    status: text(raw, "status"),
    items: [first, ...others],
    discountIds: readDiscountIds(raw),
    billingAnchor: date(raw, "billing_cycle_anchor"),
    cancelAtPeriodEnd: flag(raw, "cancel_at_period_end"),
    cancelAt: dateOrNull(raw, "cancel_at"),
    scheduleId: idOrNull(raw, "schedule"),
    canceledAt: dateOrNull(raw, "canceled_at"),
    endedAt: dateOrNull(raw, "ended_at"),
    createdAt: date(raw, "created"),
    latestInvoiceId: idOrNull(raw, "latest_invoice"),
  };
}

function nested(raw: Raw, ...path: string[]): Raw | null {
  let at: unknown = raw;
  for (const name of path) {
    if (typeof at !== "object" || at === null) return null;
    at = own(at as Raw, name);
  }
  return typeof at === "object" && at !== null ? (at as Raw) : null;
}

/** Returns one line of an invoice, with the id used for pagination. */
export function readLine(value: unknown): StripeInvoiceLine & { id: string } {
  const raw = objectOf(value, "invoice line");
  const period = objectOf(own(raw, "period"), "line period");
  const details = nested(raw, "pricing", "price_details");
  const item =
    nested(raw, "parent", "subscription_item_details") ??
    nested(raw, "parent", "invoice_item_details");
  return {
    id: text(raw, "id"),
    amount: integer(raw, "amount"),
    priceId: (details && idOrNull(details, "price")) ?? idOrNull(raw, "price"),
    // Null on lines without one, and 0 on a line for nothing: the amount alone decides what either is worth.
    quantity: Math.max(1, integerOrNull(raw, "quantity") ?? 1),
    proration: (item ? own(item, "proration") : own(raw, "proration")) === true,
    periodStart: date(period, "start"),
    periodEnd: date(period, "end"),
  };
}

export function readInvoice(value: unknown): StripeInvoice {
  const raw = objectOf(value, "invoice");
  if (own(raw, "object") !== "invoice") throw malformed("expected invoice");
  const parent = nested(raw, "parent", "subscription_details");
  const lines = readList(own(raw, "lines"), readLine);
  const transitions = nested(raw, "status_transitions");
  return {
    // A preview has no id of its own.
    id: textOrNull(raw, "id") ?? "preview",
    customerId: idOrNull(raw, "customer"),
    subscriptionId: (parent && idOrNull(parent, "subscription")) ?? idOrNull(raw, "subscription"),
    paymentIntentId: idOrNull(raw, "payment_intent"),
    status: textOrNull(raw, "status") ?? "draft",
    billingReason: textOrNull(raw, "billing_reason"),
    number: textOrNull(raw, "number"),
    amountDue: integer(raw, "amount_due"),
    amountPaid: integer(raw, "amount_paid"),
    total: integer(raw, "total"),
    creditNotesAmount:
      (integerOrNull(raw, "pre_payment_credit_notes_amount") ?? 0) +
      (integerOrNull(raw, "post_payment_credit_notes_amount") ?? 0),
    currency: text(raw, "currency"),
    createdAt: date(raw, "created"),
    paidAt: transitions && dateOrNull(transitions, "paid_at"),
    prorationDate: parent && dateOrNull(parent, "subscription_proration_date"),
    hostedInvoiceUrl: textOrNull(raw, "hosted_invoice_url"),
    lines: lines.items,
  };
}

function readAmounts(raw: Raw): Map<string, number> {
  const amounts = new Map<string, number>();
  const options = { ...nested(raw, "currency_options"), [text(raw, "currency")]: raw };
  for (const [currency, option] of Object.entries(options)) {
    const amount = integerOrNull(objectOf(option, "currency option"), "unit_amount");
    if (amount !== null) amounts.set(currency, amount);
  }
  return amounts;
}

export function readPrice(value: unknown): StripePrice {
  const raw = resource(value, "price");
  const interval = textOrNull(nested(raw, "recurring") ?? {}, "interval");
  const metadata = nested(raw, "metadata") ?? {};
  const credits = textOrNull(metadata, "credits") ?? "";
  return {
    id: text(raw, "id"),
    active: flag(raw, "active"),
    productId: idOrNull(raw, "product") ?? text(raw, "product"),
    productActive: own(nested(raw, "product") ?? {}, "active") !== false,
    unitAmount: integerOrNull(raw, "unit_amount"),
    currency: text(raw, "currency"),
    amounts: readAmounts(raw),
    interval: interval === "month" || interval === "year" ? interval : null,
    offerId: textOrNull(metadata, "offerId"),
    credits: /^\d{1,9}$/.test(credits) ? Number(credits) : null,
  };
}

export function readRefund(value: unknown): StripeRefund {
  const raw = resource(value, "refund");
  const metadata = nested(raw, "metadata");
  return {
    id: text(raw, "id"),
    amount: integer(raw, "amount"),
    status: textOrNull(raw, "status") ?? "succeeded",
    orderKey: metadata && textOrNull(metadata, "orderKey"),
    ordered: metadata && textOrNull(metadata, "ordered"),
  };
}

export function readDispute(value: unknown): StripeDispute {
  const raw = resource(value, "dispute");
  return { id: text(raw, "id"), amount: integer(raw, "amount"), status: text(raw, "status") };
}

/** Returns an invoice's payment, with the invoice's id. */
export function readInvoicePayment(value: unknown) {
  const raw = resource(value, "invoice_payment");
  const payment = nested(raw, "payment");
  return {
    id: text(raw, "id"),
    invoiceId: idOrNull(raw, "invoice"),
    paymentIntentId: payment && idOrNull(payment, "payment_intent"),
    amountPaid: integerOrNull(raw, "amount_paid"),
    status: textOrNull(raw, "status"),
  };
}

/** `isIssued` is false for a credit note that was voided and counts for nothing. */
export function readCreditNote(value: unknown): StripeCreditNote & { isIssued: boolean } {
  const raw = resource(value, "credit_note");
  const refunds = own(raw, "refunds");
  const refunded = (Array.isArray(refunds) ? refunds : []).reduce(
    (sum: number, it: unknown) => sum + integer(objectOf(it, "refund"), "amount_refunded"),
    0,
  );
  const invoiceId = idOrNull(raw, "invoice");
  if (invoiceId === null) throw malformed("credit note without invoice");
  const pre = integerOrNull(raw, "pre_payment_amount") ?? 0;
  const post = integerOrNull(raw, "post_payment_amount") ?? 0;
  return {
    id: text(raw, "id"),
    invoiceId,
    creditedAmount: Math.max(0, pre + post - refunded),
    isIssued: textOrNull(raw, "status") !== "void",
  };
}

export function readPortalConfiguration(value: unknown): {
  id: string;
  madeBy: string | null;
  features: unknown;
} {
  const raw = resource(value, "billing_portal.configuration");
  const metadata = nested(raw, "metadata");
  const madeBy = metadata && textOrNull(metadata, "skywork");
  return { id: text(raw, "id"), madeBy, features: own(raw, "features") };
}

export function readPortal(value: unknown): { url: string } {
  return { url: text(resource(value, "billing_portal.session"), "url") };
}

/** Returns the payment intent of a charge, or null. */
export function readCharge(value: unknown): string | null {
  return idOrNull(resource(value, "charge"), "payment_intent");
}

/** Returns the status of a payment intent. */
export function readPaymentIntentStatus(value: unknown): string {
  return text(resource(value, "payment_intent"), "status");
}
