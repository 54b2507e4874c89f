// What payments need of the database, table by table. payment.store.ts implements it.
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
  /** Active ones, in the order they are shown. */
  packages(): Promise<PackageOffer[]>;
  /** Active ones, in the order they are shown. */
  plans(): Promise<PlanOffer[]>;
  /** Also one that is not sold any more. */
  findPackage(packageId: string): Promise<PackageOffer | null>;
  /** Also one that is not sold any more. */
  findPlan(planId: string): Promise<PlanOffer | null>;
  findPlanByPrice(stripePriceId: string): Promise<PlanOffer | null>;
  setPackagePrice(packageId: string, stripePriceId: string): Promise<void>;
  setPlanPrice(planId: string, stripePriceId: string): Promise<void>;
  /** Takes a price id off every offer. */
  forgetPrice(stripePriceId: string): Promise<void>;
}

/** A user as Stripe's customer. */
export interface CustomerRecord {
  readonly email: string;
  readonly name: string | null;
  readonly stripeCustomerId: string | null;
  readonly deletedAt: Date | null;
  /** The balance. */
  readonly credits: number;
}

/** Users as Stripe's customers. */
export interface CustomerTable {
  find(userId: string): Promise<CustomerRecord | null>;
  findUserId(stripeCustomerId: string): Promise<string | null>;
  /** Those of `stripeCustomerIds` that are users'. */
  known(stripeCustomerIds: readonly string[]): Promise<Set<string>>;
  /** Only where the user has none yet. */
  setCustomer(userId: string, stripeCustomerId: string): Promise<void>;
  /** Only where it is still this one. */
  forgetCustomer(userId: string, stripeCustomerId: string): Promise<void>;
}

/** Checkouts. */
export interface CheckoutTable {
  find(checkoutId: string): Promise<Checkout | null>;
  findBySession(stripeSessionId: string): Promise<Checkout | null>;
  findLive(liveKey: string): Promise<Checkout | null>;
  open(userId: string): Promise<Checkout[]>;
  create(checkout: Checkout, liveKey: string | null): Promise<void>;
  /** Stores the session of an open checkout; false when it has been closed. */
  setSession(checkoutId: string, session: { id: string; url: string | null }): Promise<boolean>;
  /** Expires a checkout that is open still, with the session it was read with; false when it is not. */
  expireOpen(checkout: Pick<Checkout, "id" | "stripeSessionId">): Promise<boolean>;
  /** Ends a checkout as its session ended. */
  close(
    checkoutId: string,
    ending: { readonly status: "COMPLETE" | "EXPIRED"; readonly stripeSessionId: string },
  ): Promise<void>;
  /** Expires those whose session was never known and whose time is over; returns how many. */
  expireWithoutSession(now: Date): Promise<number>;
}

/** Payments. */
export interface PaymentTable {
  find(key: PaymentKey): Promise<Payment | null>;
  create(payment: NewPayment): Promise<void>;
  update(paymentId: string, change: Partial<Payment>): Promise<void>;
  /** Marks it FAILED unless it is paid. */
  failUnpaid(paymentId: string): Promise<void>;
  /** One user's, newest first. */
  history(
    userId: string,
    page: { readonly limit: number; readonly offset?: number },
  ): Promise<PaymentOutput<"history">>;
  /** Unpaid ones with a session, created by `before`, in the order of ids. */
  pending(
    before: Date,
    page: { readonly after: string; readonly take: number },
  ): Promise<{ readonly id: string; readonly stripeSessionId: string }[]>;
  /** Those of `stripeInvoiceIds` that are paid here. */
  paidInvoices(stripeInvoiceIds: readonly string[]): Promise<Set<string>>;
  /** The paid invoices of a subscription since a moment, oldest first. */
  invoicesOf(
    subscriptionId: string,
    since: Date,
  ): Promise<{ readonly id: string; readonly stripeInvoiceId: string }[]>;
  /** Credits purchased so far, by payment. */
  creditsPurchased(paymentIds: readonly string[]): Promise<Map<string, number>>;
  /** The paid ones of a subscription, oldest first. */
  paidOf(subscription: Pick<Subscription, "id" | "userId">): Promise<Payment[]>;
}

/** Subscriptions. */
export interface SubscriptionTable {
  find(subscriptionId: string): Promise<Subscription | null>;
  findByStripeId(stripeSubscriptionId: string): Promise<Subscription | null>;
  /** Those of `stripeSubscriptionIds` that are here. */
  known(stripeSubscriptionIds: readonly string[]): Promise<Set<string>>;
  findLive(userId: string): Promise<Subscription | null>;
  ofUser(userId: string): Promise<Subscription[]>;
  /** The Stripe customers of a user's subscriptions, the latest `take`. */
  customersOf(userId: string, take: number): Promise<string[]>;
  /** Live ones in the order of ids. */
  live(page: { readonly after: string; readonly take: number }): Promise<Subscription[]>;
  /** An id for `live` to begin after: turn by turn spread evenly over all, whoever takes the turns and however far each comes. */
  startOfTurn(turn: number): Promise<string>;
  /** Live ones whose next monthly grant is due, in the order of ids. */
  dueForGrant(
    dueAt: Date,
    page: { readonly after: string; readonly take: number },
  ): Promise<Subscription[]>;
  create(subscription: NewSubscription): Promise<void>;
  update(subscriptionId: string, change: Partial<Subscription>): Promise<void>;
  /** Ends our copy, unless it has changed since it was read. */
  close(subscription: Subscription, endedAt: Date): Promise<void>;
  /** Moves the next monthly grant on, unless somebody else has. */
  setNextGrant(subscription: Subscription, nextGrantAt: Date): Promise<void>;
}

/** Stripe's events. */
export interface EventTable {
  find(eventId: string): Promise<StoredEvent | null>;
  /** Stores a new event; one that is there already stays as it is. */
  create(
    notice: StripeEventNotice,
    times: { readonly receivedAt: Date; readonly nextAttemptAt: Date },
  ): Promise<void>;
  /** Ends an event. `nextAttemptAt`: when it is tried again, where it is ignored because Stripe did not know its object. */
  complete(
    eventId: string,
    ending: {
      readonly ignoredBecause: string | null;
      readonly nextAttemptAt: Date | null;
      readonly processedAt: Date;
    },
  ): Promise<void>;
  /** Keeps a failure, unless the event has been completed for good. */
  fail(
    eventId: string,
    failure: {
      readonly attempts: number;
      readonly lastError: string;
      readonly nextAttemptAt: Date | null;
    },
  ): Promise<void>;
  /** What is to be tried by `now`, also of what is ignored, the longest due first. */
  due(now: Date, take: number): Promise<StoredEvent[]>;
  /** Those of `eventIds` that are completed, with how. */
  completed(eventIds: readonly string[]): Promise<Map<string, EventState>>;
  /** When the last complete reconcile began, in milliseconds since 1970; 0 when there was none. */
  reconciledTo(): Promise<number>;
  setReconciledTo(ms: number): Promise<void>;
  /** Newest first. Throws VALIDATION_FAILED for a cursor that is not ours. */
  list(filter: {
    readonly status?: EventState | undefined;
    readonly limit: number;
    readonly cursor?: string | undefined;
  }): Promise<PaymentAdminOutput<"events">>;
  backlog(): Promise<EventBacklog>;
}

/** The ledger's lots, as far as payments made them. */
export interface GrantTable {
  /** Those of `grantKeys` that were made. */
  existing(grantKeys: readonly string[]): Promise<Set<string>>;
  expiresAt(grantKey: string): Promise<Date | null>;
  /** Those of a user's subscription payments, oldest first. */
  ofPayments(
    userId: string,
    paymentIds: readonly string[],
  ): Promise<{ readonly grantKey: string; readonly expiresAt: Date | null }[]>;
}

/** The tables of payments, inside or outside a transaction. */
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
  /** Notes money recorded as taken (positive) or given back (negative), for the metrics, once this has committed. */
  noteMoney(minorUnits: number, currency: string): void;
  /** Writes the audit line of a refund, once per refund. */
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
  /** Runs `work` in one transaction. It may run again, so it must be free of other effects. */
  transaction<T>(work: (tx: PaymentTransaction) => Promise<T>): Promise<T>;
  /** The same under the user's lock: whatever is done to one account happens in turn. */
  lockedTransaction<T>(userId: string, work: (tx: PaymentTransaction) => Promise<T>): Promise<T>;
}
