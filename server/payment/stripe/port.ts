// The port to Stripe: the few questions and orders the payment service has. adapters/stripe implements it.
import type { BillingInterval } from "../../../shared/src/payment.ts";
import type { NewPhases, StripeSchedule } from "./schedule.ts";

/**
 * Why Stripe said no. `unavailable` = nobody knows whether it happened; repeat with the same key. `forbidden` = this
 * server's key is refused, which says nothing about the object. Only `missing` means that there is none.
 */
export type RefusalKind =
  | "unavailable"
  | "forbidden"
  | "missing"
  | "declined"
  | "keyReused"
  | "invalid";

/** A checkout session as it is now. Money in minor units. */
export interface StripeCheckout {
  readonly id: string;
  readonly url: string | null;
  readonly status: "open" | "complete" | "expired";
  readonly paymentStatus: "paid" | "unpaid" | "no_payment_required";
  readonly customerId: string | null;
  readonly paymentIntentId: string | null;
  readonly subscriptionId: string | null;
  readonly invoiceId: string | null;
  readonly clientReferenceId: string | null;
  /** What we noted on it when we opened it; null on others' sessions. Only this account's secret key can write it. */
  readonly note: CheckoutNote | null;
  /** Before discounts and taxes; null when Stripe does not say. */
  readonly amountSubtotal: number | null;
  readonly amountTotal: number | null;
  readonly currency: string | null;
  readonly createdAt: Date;
}

/** Our checkout as its session remembers it, for a database that was restored to before it. */
export interface CheckoutNote {
  readonly checkoutId: string;
  readonly userId: string;
  readonly kind: "PACKAGE" | "PLAN";
  readonly offerId: string;
  readonly credits: number;
}

/** One thing a subscription bills, with its own period. */
export interface StripeSubscriptionItem {
  readonly id: string;
  readonly priceId: string;
  readonly quantity: number;
  readonly discountIds: readonly string[];
  readonly currentPeriodStart: Date;
  readonly currentPeriodEnd: Date;
}

/** A subscription as it is now. */
export interface StripeSubscription {
  readonly id: string;
  readonly customerId: string;
  readonly status: string;
  /** At least one; the plan's may stand anywhere among them. */
  readonly items: readonly [StripeSubscriptionItem, ...StripeSubscriptionItem[]];
  readonly discountIds: readonly string[];
  /** Every billing period starts on this day of the month (as far as the month has it). */
  readonly billingAnchor: Date;
  readonly cancelAtPeriodEnd: boolean;
  /** When it ends, also when that is the period's end; null when it goes on. */
  readonly cancelAt: Date | null;
  /** The schedule that will change it, if one is in place. */
  readonly scheduleId: string | null;
  readonly canceledAt: Date | null;
  readonly endedAt: Date | null;
  readonly createdAt: Date;
  readonly latestInvoiceId: string | null;
}

/** A credit note: less money for an invoice than it asked for. */
export interface StripeCreditNote {
  readonly id: string;
  readonly invoiceId: string;
  /** Given back other than by a refund: to the customer's balance, out of band, or never asked for. */
  readonly creditedAmount: number;
}

/** One line of an invoice. `amount` is negative for money given back. */
export interface StripeInvoiceLine {
  readonly amount: number;
  readonly priceId: string | null;
  readonly quantity: number;
  readonly proration: boolean;
  readonly periodStart: Date;
  readonly periodEnd: Date;
}

/** An invoice as it is now. */
export interface StripeInvoice {
  readonly id: string;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  /** Only in invoices of API versions before 2025-03-31; null in newer ones. */
  readonly paymentIntentId: string | null;
  readonly status: string;
  readonly billingReason: string | null;
  readonly number: string | null;
  readonly amountDue: number;
  readonly amountPaid: number;
  readonly total: number;
  /** All credit notes on it, refunds included. */
  readonly creditNotesAmount: number;
  readonly currency: string;
  readonly createdAt: Date;
  readonly paidAt: Date | null;
  /** Of the preview of a change: the moment it is prorated to. */
  readonly prorationDate: Date | null;
  readonly hostedInvoiceUrl: string | null;
  readonly lines: readonly StripeInvoiceLine[];
}

/** What a payment intent paid of an invoice; null where Stripe does not say. */
export interface StripeInvoicePayment {
  readonly paymentIntentId: string;
  readonly amountPaid: number | null;
}

/** A price; what it costs never changes under one id. */
export interface StripePrice {
  readonly id: string;
  readonly active: boolean;
  readonly productId: string;
  /** False when its product is archived, so that the price cannot be sold either. */
  readonly productActive: boolean;
  readonly unitAmount: number;
  readonly currency: string;
  /** What it costs in each currency it is sold in, its own among them, as far as Stripe was asked. */
  readonly amounts: ReadonlyMap<string, number>;
  readonly interval: BillingInterval | null;
  /** The offer of ours it was made for (metadata only this server's key can write). */
  readonly offerId: string | null;
  /** The credits per month it was sold with, from its metadata too; null where it does not say. */
  readonly credits: number | null;
}

/** A refund. Pending ones count as refunded until they fail. */
export interface StripeRefund {
  readonly id: string;
  readonly amount: number;
  readonly status: string;
  /** The key it was ordered under, when it was ordered here. */
  readonly orderKey: string | null;
  /** What was ordered, in the words of that order; null where it does not say. */
  readonly ordered: string | null;
}

/** A dispute. */
export interface StripeDispute {
  readonly id: string;
  readonly amount: number;
  readonly status: string;
}

/** A signed event, reduced to what may be believed: which object to look at. */
export interface StripeEventNotice {
  readonly id: string;
  readonly type: string;
  readonly createdAt: Date;
  /** Null for the few objects without one (a balance, an upcoming invoice). */
  readonly objectId: string | null;
  readonly objectType: string | null;
  readonly paymentIntentId: string | null;
  readonly chargeId: string | null;
}

/** What to sell in a checkout: a price Stripe knows, or one made on the spot. */
export type CheckoutPrice =
  | { readonly priceId: string }
  | { readonly name: string; readonly amount: number; readonly currency: string };

/** What a new checkout session needs. */
export interface NewCheckout {
  readonly mode: "payment" | "subscription";
  readonly customerId: string;
  readonly note: CheckoutNote;
  readonly price: CheckoutPrice;
  readonly successUrl: string;
  readonly cancelUrl: string;
  readonly expiresAt: Date;
}

/** The answer to an incoming webhook's signature and form. */
export type VerifiedEvent =
  | { readonly ok: true; readonly event: StripeEventNotice }
  | { readonly ok: false; readonly reason: string };

/**
 * Stripe. Every call is bounded in time and retried a bounded number of times; every write carries the idempotency key
 * it is given, and goes on under a next one when Stripe has saved a failure under it. A failure is PAYMENT_PROVIDER_ERROR; `isRefusal` (errors.ts) tells why.
 */
export interface StripePort {
  /** Whether Stripe takes our key. Throws PAYMENT_PROVIDER_ERROR when it cannot be asked. */
  checkKey(): Promise<"accepted" | "refused">;
  /** What is wrong with a signature header whose body is not read yet (absent, unreadable, too old); null = read on. */
  signatureRefusal(signatureHeader: string | null, nowMs: number): string | null;
  /** Checks the signature (all secrets, 5 minutes either way), the mode and the account, and reads the notice. */
  verifyEvent(rawBody: Buffer, signatureHeader: string | null, nowMs: number): VerifiedEvent;

  createCustomer(
    input: { userId: string; email: string; name: string | null },
    idempotencyKey: string,
  ): Promise<{ id: string }>;

  createCheckout(input: NewCheckout, idempotencyKey: string): Promise<StripeCheckout>;
  getCheckout(sessionId: string): Promise<StripeCheckout>;
  /** Ends an open session; refused (`invalid`) when it is no longer open. */
  expireCheckout(sessionId: string): Promise<StripeCheckout>;
  findCheckoutByPaymentIntent(paymentIntentId: string): Promise<StripeCheckout | null>;
  findCheckoutBySubscription(subscriptionId: string): Promise<StripeCheckout | null>;

  getSubscription(subscriptionId: string): Promise<StripeSubscription>;
  /** Those that have not ended. */
  listSubscriptions(customerId: string): Promise<StripeSubscription[]>;
  /** `atPeriodEnd`: it ends then, whatever end was set. `resume` and `clearDate` take the one or the other end back. */
  setCancellation(
    subscriptionId: string,
    change: "atPeriodEnd" | "resume" | "clearDate",
    idempotencyKey: string,
  ): Promise<StripeSubscription>;
  /** Ends it now, without proration. Returns the ended subscription, also when it had ended before. */
  cancelSubscription(subscriptionId: string, idempotencyKey: string): Promise<StripeSubscription>;
  /** Changes the price: the difference is paid now or nothing changes (`declined`). */
  changePrice(
    input: {
      subscriptionId: string;
      itemId: string;
      priceId: string;
      prorationDate: Date;
    },
    idempotencyKey: string,
  ): Promise<StripeSubscription>;
  /** The invoice that changing the price would make now by Stripe's clock, or at `prorationDate`. */
  previewPriceChange(input: {
    customerId: string;
    subscriptionId: string;
    itemId: string;
    priceId: string;
    prorationDate?: Date;
  }): Promise<StripeInvoice>;

  getSchedule(scheduleId: string): Promise<StripeSchedule>;
  /** Puts a running subscription under a schedule of one phase, as it is now. */
  createSchedule(subscriptionId: string, idempotencyKey: string): Promise<StripeSchedule>;
  /** The items stay until `changeAt`, then become `after`, and the schedule lets go; without `after` the subscription ends. */
  setSchedule(phases: NewPhases, idempotencyKey: string): Promise<StripeSchedule>;
  /** Ends the schedule, the subscription goes on as it is: without the end the schedule has set, unless `keepEnd`. Also when it had let go before. */
  releaseSchedule(
    scheduleId: string,
    idempotencyKey: string,
    keepEnd?: boolean,
  ): Promise<StripeSchedule>;

  /** Issued ones, not voided. */
  listCreditNotes(invoiceId: string): Promise<StripeCreditNote[]>;
  getCreditNote(creditNoteId: string): Promise<StripeCreditNote>;

  getInvoice(invoiceId: string): Promise<StripeInvoice>;
  /** Newest first, at most `limit`; `after` = the last id of the page before. */
  listInvoices(filter: {
    customerId?: string;
    status?: "paid";
    createdSince?: Date;
    after?: string;
    limit: number;
  }): Promise<StripeInvoice[]>;
  /** What paid an invoice, by payment intent; nothing did a free one. */
  listInvoicePayments(invoiceId: string): Promise<StripeInvoicePayment[]>;
  findInvoiceByPaymentIntent(paymentIntentId: string): Promise<string | null>;

  /** Stripe's word for where a payment intent stands. */
  getPaymentIntentStatus(paymentIntentId: string): Promise<string>;
  /** The payment intent of a charge; null when it has none. */
  getChargePaymentIntent(chargeId: string): Promise<string | null>;
  listRefunds(paymentIntentId: string): Promise<StripeRefund[]>;
  listDisputes(paymentIntentId: string): Promise<StripeDispute[]>;
  /** Without `amount`: all that is left. */
  createRefund(
    input: {
      paymentIntentId: string;
      amount?: number;
      orderKey: string;
      ordered?: string;
      reason: string | null;
    },
    idempotencyKey: string,
  ): Promise<StripeRefund>;

  createPortalSession(
    customerId: string,
    returnUrl: string,
    configurationId: string,
  ): Promise<{ url: string }>;
  /** Our portal configuration, made or brought up to date: card and invoices, cancelling at the period's end, no more. */
  ensurePortalConfiguration(): Promise<{ id: string; done: "created" | "updated" | "unchanged" }>;

  getPrice(priceId: string): Promise<StripePrice>;
  /** The active price with this lookup key; null when there is none. */
  findPrice(lookupKey: string): Promise<StripePrice | null>;
  /** The price made last for a product, archived or not; null when there is none. */
  findLatestPrice(productId: string): Promise<StripePrice | null>;
  /** Creates or renames the product with this id of ours. */
  ensureProduct(input: { id: string; name: string }): Promise<void>;
  /** Creates a price and moves the lookup key to it. */
  createPrice(
    input: {
      productId: string;
      offerId: string;
      /** Per month, of a plan; a package's are its checkout's. */
      credits: number | null;
      lookupKey: string;
      unitAmount: number;
      currency: string;
      interval: BillingInterval | null;
    },
    idempotencyKey: string,
  ): Promise<StripePrice>;
  /** Writes on a price, archived or not, which offer of ours it is for, and its credits where they are known. */
  labelPrice(
    priceId: string,
    label: { readonly offerId: string; readonly credits: number | null },
  ): Promise<void>;
  archivePrice(priceId: string): Promise<void>;

  /** Events since a moment, newest first, a page at a time; `after` = the last id of the page before. */
  listEvents(filter: {
    createdSince: Date;
    types: readonly string[];
    after: string | null;
  }): Promise<{ events: StripeEventNotice[]; more: boolean }>;
}
