// What payments need from the database, table by table. payment.store.ts implements it.
import type { EventState } from "../../shared/src/admin.ts";
import type { LedgerOperation } from "../ledger/ports.ts";
import type {
  Checkout,
  EventBacklog,
  NewPayment,
  NewSubscription,
  PackageOffer,
  Payment,
  PaymentAdminOutput,
  PaymentKey,
  PaymentOutput,
  PlanOffer,
  StoredEvent,
  Subscription,
} from "./payment.types.ts";
import type { StripeEventNotice } from "./stripe/port.ts";

/** The packages and plans on sale. */
export interface OfferTable {
  /** Active ones, in display order. */
  packages(): Promise<PackageOffer[]>;
  /** Active ones, in display order. */
  plans(): Promise<PlanOffer[]>;
  /** Also finds one that is no longer sold. */
  findPackage(packageId: string): Promise<PackageOffer | null>;
  /** Also finds one that is no longer sold. */
  findPlan(planId: string): Promise<PlanOffer | null>;
  findPlanByPrice(stripePriceId: string): Promise<PlanOffer | null>;
  setPackagePrice(packageId: string, stripePriceId: string): Promise<void>;
  setPlanPrice(planId: string, stripePriceId: string): Promise<void>;
  /** Removes a price id from every offer. */
  forgetPrice(stripePriceId: string): Promise<void>;
}

/** A user as a Stripe customer. */
export interface CustomerRecord {
  readonly email: string;
  readonly name: string | null;
  readonly stripeCustomerId: string | null;
  readonly deletedAt: Date | null;
  /** The credit balance. */
  readonly credits: number;
}

/** Users as Stripe customers. */
export interface CustomerTable {
  find(userId: string): Promise<CustomerRecord | null>;
  findUserId(stripeCustomerId: string): Promise<string | null>;
  /** Those of `stripeCustomerIds` that belong to users. */
  known(stripeCustomerIds: readonly string[]): Promise<Set<string>>;
  /** Sets it only if the user has none yet. */
  setCustomer(userId: string, stripeCustomerId: string): Promise<void>;
  /** Clears it only if it is still this one. */
  forgetCustomer(userId: string, stripeCustomerId: string): Promise<void>;
}

/** Checkouts. */
export interface CheckoutTable {
  find(checkoutId: string): Promise<Checkout | null>;
  findBySession(stripeSessionId: string): Promise<Checkout | null>;
  findLive(liveKey: string): Promise<Checkout | null>;
  open(userId: string): Promise<Checkout[]>;
  create(checkout: Checkout, liveKey: string | null): Promise<void>;
  /** Stores the session of an open checkout. Returns false when it has been closed. */
  setSession(checkoutId: string, session: { id: string; url: string | null }): Promise<boolean>;
  /** Expires a checkout if it is still open with the session it was read with. Returns whether it did. */
  expireOpen(checkout: Pick<Checkout, "id" | "stripeSessionId">): Promise<boolean>;
  /** Closes a checkout the way its session ended. */
  close(
    checkoutId: string,
    ending: { readonly status: "COMPLETE" | "EXPIRED"; readonly stripeSessionId: string },
  ): Promise<void>;
  /** Expires open checkouts that are past their expiry and never got a session. Returns how many. */
  expireWithoutSession(now: Date): Promise<number>;
}

/** Payments. */
export interface PaymentTable {
  find(key: PaymentKey): Promise<Payment | null>;
  create(payment: NewPayment): Promise<void>;
  update(paymentId: string, change: Partial<Payment>): Promise<void>;
  /** Marks it FAILED unless it is paid. */
  failUnpaid(paymentId: string): Promise<void>;
  /** One user's payments, newest first. */
  history(
    userId: string,
    page: { readonly limit: number; readonly offset?: number },
  ): Promise<PaymentOutput<"history">>;
  /** Pending ones that have a session and were created by `before`, in id order. */
  pending(
    before: Date,
    page: { readonly after: string; readonly take: number },
  ): Promise<{ readonly id: string; readonly stripeSessionId: string }[]>;
  /** Those of `stripeInvoiceIds` that have a paid payment here. */
  paidInvoices(stripeInvoiceIds: readonly string[]): Promise<Set<string>>;
  /** A subscription's paid invoices created since a moment, oldest first. */
  invoicesOf(
    subscriptionId: string,
    since: Date,
  ): Promise<{ readonly id: string; readonly stripeInvoiceId: string }[]>;
  /** Credits purchased so far, by payment. */
  creditsPurchased(paymentIds: readonly string[]): Promise<Map<string, number>>;
  /** A subscription's paid payments, oldest first. */
  paidOf(subscription: Pick<Subscription, "id" | "userId">): Promise<Payment[]>;
}

/** Subscriptions. */
export interface SubscriptionTable {
  find(subscriptionId: string): Promise<Subscription | null>;
  findByStripeId(stripeSubscriptionId: string): Promise<Subscription | null>;
  /** Those of `stripeSubscriptionIds` that are stored here. */
  known(stripeSubscriptionIds: readonly string[]): Promise<Set<string>>;
  findLive(userId: string): Promise<Subscription | null>;
  ofUser(userId: string): Promise<Subscription[]>;
  /** The latest `take` Stripe customers of a user's subscriptions. */
  customersOf(userId: string, take: number): Promise<string[]>;
  /** Live ones, in id order. */
  live(page: { readonly after: string; readonly take: number }): Promise<Subscription[]>;
  /**
   * Returns an id for `live` to start after. Turns are spread evenly over all subscriptions, whichever instances take
   * them and however far each gets.
   */
  turnCursor(turn: number): Promise<string>;
  /** Live ones whose next monthly grant is due, in id order. */
  dueForGrant(
    dueAt: Date,
    page: { readonly after: string; readonly take: number },
  ): Promise<Subscription[]>;
  create(subscription: NewSubscription): Promise<void>;
  update(subscriptionId: string, change: Partial<Subscription>): Promise<void>;
  /** Closes our copy, unless it has changed since it was read. */
  close(subscription: Subscription, endedAt: Date): Promise<void>;
  /** Moves the next monthly grant forward, unless it has been moved already. */
  setNextGrant(subscription: Subscription, nextGrantAt: Date): Promise<void>;
}

/** Stripe's events. */
export interface EventTable {
  find(eventId: string): Promise<StoredEvent | null>;
  /** Stores a new event; an existing one is left as it is. */
  create(
    notice: StripeEventNotice,
    times: { readonly receivedAt: Date; readonly nextAttemptAt: Date },
  ): Promise<void>;
  /** Completes an event. `nextAttemptAt`: when to retry one that is ignored because Stripe did not know its object. */
  complete(
    eventId: string,
    ending: {
      readonly ignoredBecause: string | null;
      readonly nextAttemptAt: Date | null;
      readonly processedAt: Date;
    },
  ): Promise<void>;
  /** Records a failure, unless the event is completed for good. */
  fail(
    eventId: string,
    failure: {
      readonly attempts: number;
      readonly lastError: string;
      readonly nextAttemptAt: Date | null;
    },
  ): Promise<void>;
  /** Events to retry by `now`, including ignored ones, longest due first. */
  due(now: Date, take: number): Promise<StoredEvent[]>;
  /** Those of `eventIds` that are completed, with their state. */
  completed(eventIds: readonly string[]): Promise<Map<string, EventState>>;
  /** When the last complete reconcile began, in milliseconds since 1970; 0 when there was none. */
  reconciledTo(): Promise<number>;
  setReconciledTo(ms: number): Promise<void>;
  /** Newest first. Throws VALIDATION_FAILED for an invalid cursor. */
  list(filter: {
    readonly status?: EventState | undefined;
    readonly limit: number;
    readonly cursor?: string | undefined;
  }): Promise<PaymentAdminOutput<"events">>;
  backlog(): Promise<EventBacklog>;
  /** When the longest waiting event that nobody has processed yet arrived; null when none is pending. */
  oldestPendingAt(): Promise<Date | null>;
}

/** The ledger's lots that come from payments. */
export interface GrantTable {
  /** Those of `grantKeys` that have been granted. */
  existing(grantKeys: readonly string[]): Promise<Set<string>>;
  expiresAt(grantKey: string): Promise<Date | null>;
  /** The lots of a user's subscription payments, oldest first. */
  ofPayments(
    userId: string,
    paymentIds: readonly string[],
  ): Promise<{ readonly grantKey: string; readonly expiresAt: Date | null }[]>;
}

/** The payment tables, inside or outside a transaction. */
export interface PaymentTables {
  readonly offers: OfferTable;
  readonly customers: CustomerTable;
  readonly checkouts: CheckoutTable;
  readonly payments: PaymentTable;
  readonly subscriptions: SubscriptionTable;
  readonly events: EventTable;
  readonly grants: GrantTable;
}

/** One transaction over the tables and the ledger. */
export interface PaymentTransaction extends PaymentTables {
  /** See Ledger.applyIn; call Ledger.changed once the transaction has committed. */
  applyToLedger(operations: readonly LedgerOperation[]): Promise<void>;
  /** Counts money taken (positive) or given back (negative) in the metrics, once this transaction has committed. */
  noteMoney(minorUnits: number, currency: string): void;
  /** Writes a refund's audit line, once per refund. */
  auditRefund(line: {
    readonly refundId: string;
    readonly amount: number;
    readonly paymentId: string;
    readonly actorId: string;
    readonly reason: string | null;
    readonly at: Date;
  }): Promise<void>;
}

/** The tables, and transactions over them. */
export interface PaymentStore extends PaymentTables {
  /** Runs `work` in one transaction. `work` may run again, so it must have no other side effects. */
  transaction<T>(work: (tx: PaymentTransaction) => Promise<T>): Promise<T>;
  /** The same under the user's lock, which serializes all changes to one account. */
  lockedTransaction<T>(userId: string, work: (tx: PaymentTransaction) => Promise<T>): Promise<T>;
}
