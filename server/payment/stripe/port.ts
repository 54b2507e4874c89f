// The port to Stripe: the few reads and writes the payment service needs. adapters/stripe implements it.
import type { BillingInterval } from "../../../shared/src/payment.ts";
import type { NewPhases, StripeSchedule } from "./schedule.ts";

/**
 * Why a Stripe call failed. `unavailable`: it may or may not have taken effect; retry with the same key.
 * `forbidden`: this server's key is refused, which says nothing about the object. Only `missing` means that the
 * object does not exist.
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
  /** Our note from when we opened it; null on sessions that are not ours. Only this account's secret key can set it. */
  readonly note: CheckoutNote | null;
  /** Before discounts and taxes; null when Stripe does not say. */
  readonly amountSubtotal: number | null;
  readonly amountTotal: number | null;
  readonly currency: string | null;
  readonly createdAt: Date;
}

/** Our checkout as noted on its session, in case the database is restored to a time before it. */
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
  /** At least one; the plan's may be anywhere among them. */
  readonly items: readonly [StripeSubscriptionItem, ...StripeSubscriptionItem[]];
  readonly discountIds: readonly string[];
  /** Every billing period starts on this day of the month, or on the last day of a shorter month. */
  readonly billingAnchor: Date;
  readonly cancelAtPeriodEnd: boolean;
  /** When it ends, usually also set for an end with the period; null when it continues. */
  readonly cancelAt: Date | null;
  /** The schedule that will change it, if one is in place. */
  readonly scheduleId: string | null;
  readonly canceledAt: Date | null;
  readonly endedAt: Date | null;
  readonly createdAt: Date;
  readonly latestInvoiceId: string | null;
}

/** A credit note: reduces what an invoice charges. */
export interface StripeCreditNote {
  readonly id: string;
  readonly invoiceId: string;
  /** Given back other than by a refund: to the customer's balance, out of band, or by reducing the amount due. */
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
  /** In the preview of a change: the moment it is prorated to. */
  readonly prorationDate: Date | null;
  readonly hostedInvoiceUrl: string | null;
  readonly lines: readonly StripeInvoiceLine[];
}

/** What a payment intent paid of an invoice; the amount is null when Stripe does not say. */
export interface StripeInvoicePayment {
  readonly paymentIntentId: string;
  readonly amountPaid: number | null;
}

/** A price; its amount never changes under one id. */
export interface StripePrice {
  readonly id: string;
  readonly active: boolean;
  readonly productId: string;
  /** False when its product is archived, so that the price cannot be sold either. */
  readonly productActive: boolean;
  /** Null when a unit has no single whole amount: tiers, or fractions of the smallest unit of money. */
  readonly unitAmount: number | null;
  readonly currency: string;
  /**
   * Its amount in each currency it is sold in, including its own; without those where a unit has no single whole amount.
   * Other currencies are present only if requested.
   */
  readonly amounts: ReadonlyMap<string, number>;
  readonly interval: BillingInterval | null;
  /** Our offer it was made for (from metadata that only this server's key can write). */
  readonly offerId: string | null;
  /** The credits per month it was sold with, also from its metadata; null when it does not say. */
  readonly credits: number | null;
}

/** A refund. Pending ones count as refunded until they fail. */
export interface StripeRefund {
  readonly id: string;
  readonly amount: number;
  readonly status: string;
  /** The key it was ordered under, if it was ordered here. */
  readonly orderKey: string | null;
  /** What was ordered, as that order put it; null when it does not say. */
  readonly ordered: string | null;
}

/** A dispute. */
export interface StripeDispute {
  readonly id: string;
  readonly amount: number;
  readonly status: string;
}

/** A signed event, reduced to what can be trusted: which object to read. */
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

/** What to sell in a checkout: a price Stripe knows, or one created inline. */
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

/** The result of checking an incoming webhook's signature and format. */
export type VerifiedEvent =
  | { readonly ok: true; readonly event: StripeEventNotice }
  | { readonly ok: false; readonly reason: string };

/**
 * Stripe. Every call is bounded in time and in retries. Every write carries the idempotency key it is given, and
 * continues under the next key when Stripe has saved a failure under that one. Failures are PAYMENT_PROVIDER_ERROR;
 * `isRefusal` (errors.ts) says why.
 */
export interface StripePort {
  /** Whether Stripe accepts our key. Throws PAYMENT_PROVIDER_ERROR when that cannot be determined. */
  checkKey(): Promise<"accepted" | "refused">;
  /** Returns what is wrong with a signature header before the body is read (absent, unreadable, too old), or null. */
  signatureRefusal(signatureHeader: string | null, nowMs: number): string | null;
  /** Checks the signature (any of the secrets, 5 minutes either way), mode and account, and reads the notice. */
  verifyEvent(rawBody: Buffer, signatureHeader: string | null, nowMs: number): VerifiedEvent;

  createCustomer(
    input: { userId: string; email: string; name: string | null },
    idempotencyKey: string,
  ): Promise<{ id: string }>;

  createCheckout(input: NewCheckout, idempotencyKey: string): Promise<StripeCheckout>;
  getCheckout(sessionId: string): Promise<StripeCheckout>;
  /** Expires an open session; refused (`invalid`) when it is no longer open. */
  expireCheckout(sessionId: string): Promise<StripeCheckout>;
  findCheckoutByPaymentIntent(paymentIntentId: string): Promise<StripeCheckout | null>;
  findCheckoutBySubscription(subscriptionId: string): Promise<StripeCheckout | null>;

  getSubscription(subscriptionId: string): Promise<StripeSubscription>;
  /** Those that have not ended. */
  listSubscriptions(customerId: string): Promise<StripeSubscription[]>;
  /** `atPeriodEnd` ends it with the period, replacing any other end. `resume` undoes that, `clearDate` an end date. */
  setCancellation(
    subscriptionId: string,
    change: "atPeriodEnd" | "resume" | "clearDate",
    idempotencyKey: string,
  ): Promise<StripeSubscription>;
  /** Ends it immediately, without proration. Returns the ended subscription, even if it had already ended. */
  cancelSubscription(subscriptionId: string, idempotencyKey: string): Promise<StripeSubscription>;
  /** Changes the price. The difference is paid now, or nothing changes (`declined`). */
  changePrice(
    input: {
      subscriptionId: string;
      itemId: string;
      priceId: string;
      prorationDate: Date;
    },
    idempotencyKey: string,
  ): Promise<StripeSubscription>;
  /** Returns the invoice that changing the price would create, now (by Stripe's clock) or at `prorationDate`. */
  previewPriceChange(input: {
    customerId: string;
    subscriptionId: string;
    itemId: string;
    priceId: string;
    prorationDate?: Date;
  }): Promise<StripeInvoice>;

  getSchedule(scheduleId: string): Promise<StripeSchedule>;
  /** Puts a running subscription under a schedule with a single phase, equal to its current state. */
  createSchedule(subscriptionId: string, idempotencyKey: string): Promise<StripeSchedule>;
  /**
   * Keeps the items until `changeAt`, then switches to `after` and later releases the subscription. Without `after`,
   * the subscription ends at `changeAt`.
   */
  setSchedule(phases: NewPhases, idempotencyKey: string): Promise<StripeSchedule>;
  /**
   * Releases the subscription from the schedule. It continues as it is, without the end the schedule has set unless
   * `keepEnd`. Succeeds if it was already released.
   */
  releaseSchedule(
    scheduleId: string,
    idempotencyKey: string,
    keepEnd?: boolean,
  ): Promise<StripeSchedule>;

  /** Issued ones, not voided. */
  listCreditNotes(invoiceId: string): Promise<StripeCreditNote[]>;
  getCreditNote(creditNoteId: string): Promise<StripeCreditNote>;

  getInvoice(invoiceId: string): Promise<StripeInvoice>;
  /** Newest first, at most `limit`; `after` = the last id of the previous page. */
  listInvoices(filter: {
    customerId?: string;
    status?: "paid";
    createdSince?: Date;
    after?: string;
    limit: number;
  }): Promise<StripeInvoice[]>;
  /** Returns what paid an invoice, by payment intent; empty for a free one. */
  listInvoicePayments(invoiceId: string): Promise<StripeInvoicePayment[]>;
  findInvoiceByPaymentIntent(paymentIntentId: string): Promise<string | null>;

  /** Returns the status of a payment intent in Stripe's words. */
  getPaymentIntentStatus(paymentIntentId: string): Promise<string>;
  /** Returns the payment intent of a charge; null when it has none. */
  getChargePaymentIntent(chargeId: string): Promise<string | null>;
  listRefunds(paymentIntentId: string): Promise<StripeRefund[]>;
  listDisputes(paymentIntentId: string): Promise<StripeDispute[]>;
  /** Without `amount`, refunds everything that is left. */
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
  /** Creates or updates our portal configuration: card and invoices, cancelling at the period's end, nothing else. */
  ensurePortalConfiguration(): Promise<{ id: string; done: "created" | "updated" | "unchanged" }>;

  getPrice(priceId: string): Promise<StripePrice>;
  /** Returns the active price with this lookup key; null when there is none. */
  findPrice(lookupKey: string): Promise<StripePrice | null>;
  /** Returns the newest price of a product, archived or not; null when there is none. */
  findLatestPrice(productId: string): Promise<StripePrice | null>;
  /** Creates the product with this id of ours, or renames it. */
  ensureProduct(input: { id: string; name: string }): Promise<void>;
  /** Creates a price and moves the lookup key to it. */
  createPrice(
    input: {
      productId: string;
      offerId: string;
      /** A plan's credits per month; null for a package, whose credits come from its checkout. */
      credits: number | null;
      lookupKey: string;
      unitAmount: number;
      currency: string;
      interval: BillingInterval | null;
    },
    idempotencyKey: string,
  ): Promise<StripePrice>;
  /** Labels a price, archived or not, with the offer it is for and, if known, its credits. */
  labelPrice(
    priceId: string,
    label: { readonly offerId: string; readonly credits: number | null },
  ): Promise<void>;
  archivePrice(priceId: string): Promise<void>;

  /** Returns a page of events since a moment, newest first; `after` = the last id of the previous page. */
  listEvents(filter: {
    createdSince: Date;
    types: readonly string[];
    after: string | null;
  }): Promise<{ events: StripeEventNotice[]; more: boolean }>;
}
