// The state of the Stripe stand-in: tables, ids, both clocks, and how a change becomes an event.
import { randomInt } from "node:crypto";
import type {
  Charge,
  CheckoutLine,
  CheckoutSession,
  Coupon,
  Customer,
  Dispute,
  Json,
  Metadata,
  PaymentIntent,
  PaymentMethod,
  PortalConfiguration,
  PortalSession,
  Price,
  Product,
  PromotionCode,
  Refund,
  StripeObject,
  WebhookEndpoint,
} from "../objects/types.ts";
import type {
  Invoice,
  InvoiceLine,
  InvoicePayment,
  Subscription,
  SubscriptionSchedule,
  TrialRequest,
} from "../objects/types-billing.ts";
import type {
  CreditNote,
  CustomerBalanceTransaction,
  InvoiceItem,
} from "../objects/types-credit.ts";
import { missing } from "../api/wire.ts";

/** The private state of a checkout session, beside its public object. */
export interface SessionDetails {
  lines: CheckoutLine[];
  intentMetadata: Metadata;
  intentDescription: string | null;
  setupFutureUsage: string | null;
  subscriptionMetadata: Metadata;
  /** The free trial that the subscription will start with. */
  trial?: TrialRequest;
  /** True while a delayed payment is in progress. */
  delayed: boolean;
}

/** A type rather than an interface, so that `Object.values` is typed. */
export type Tables = {
  customers: Map<string, Customer>;
  products: Map<string, Product>;
  prices: Map<string, Price>;
  coupons: Map<string, Coupon>;
  promotionCodes: Map<string, PromotionCode>;
  paymentMethods: Map<string, PaymentMethod>;
  sessions: Map<string, CheckoutSession>;
  paymentIntents: Map<string, PaymentIntent>;
  charges: Map<string, Charge>;
  refunds: Map<string, Refund>;
  disputes: Map<string, Dispute>;
  subscriptions: Map<string, Subscription>;
  schedules: Map<string, SubscriptionSchedule>;
  invoices: Map<string, Invoice>;
  invoicePayments: Map<string, InvoicePayment>;
  invoiceItems: Map<string, InvoiceItem>;
  creditNotes: Map<string, CreditNote>;
  balanceTransactions: Map<string, CustomerBalanceTransaction>;
  portalConfigurations: Map<string, PortalConfiguration>;
  portalSessions: Map<string, PortalSession>;
  webhookEndpoints: Map<string, WebhookEndpoint>;
};

/** State that is not part of the public objects. */
export interface Hidden {
  sessionDetails: Map<string, SessionDetails>;
  /** Customers whose card is declined. */
  failingCards: Set<string>;
  /** Lines waiting for the next invoice, by subscription id, or by customer id for any of their subscriptions. */
  pendingLines: Map<string, InvoiceLine[]>;
  /** Draft and open invoices by subscription, which the billing clock still has to process. */
  unfinishedInvoices: Map<string, Set<string>>;
  /** The invoice payment of each finalised invoice with an amount due. */
  paymentByInvoice: Map<string, string>;
  /** Trial ends that were announced, keyed by subscription and end. */
  trialsAnnounced: Set<string>;
  /** The outcomes of the next refunds, in order. */
  nextRefunds: ("succeeded" | "pending" | "failing")[];
  /** Deleted customers, so that retrieving one returns `deleted: true`. */
  deletedCustomers: Set<string>;
  /** Billing clock minus wall clock, in seconds. */
  billingOffsetSeconds: number;
  /** Wall clock of the sandbox minus the real one, in seconds. */
  wallOffsetSeconds: number;
}

export interface RequestStamp {
  id: string | null;
  idempotencyKey: string | null;
}

export interface World {
  tables: Tables;
  hidden: Hidden;
  publicUrl: string;
  /** Unix seconds for events, sessions, refunds, disputes and signatures. */
  wallNow(): number;
  /** Unix seconds for subscriptions and invoices, from the billing clock, which can be advanced. */
  billingNow(): number;
  /** Runs `work` with the billing clock frozen at `seconds`. */
  atBillingTime(seconds: number, work: () => void): void;
  newId(prefix: string, length?: number): string;
  /** Records an event about `object` as it is now; `before` gives `previous_attributes`. */
  emit(type: string, object: StripeObject, before?: StripeObject): void;
  /** When unpaid invoices are retried, and what happens to the subscription after the last attempt. */
  dunning: { retryAfterDays: number[]; end: "cancel" | "unpaid" };
  /** The API request being handled, for the event envelope. */
  request: RequestStamp;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

function randomText(length: number): string {
  let text = "";
  for (let i = 0; i < length; i += 1) text += ALPHABET[randomInt(ALPHABET.length)];
  return text;
}

/** Empty tables and hidden state. */
export function emptyState(): { tables: Tables; hidden: Hidden } {
  return {
    tables: {
      customers: new Map(),
      products: new Map(),
      prices: new Map(),
      coupons: new Map(),
      promotionCodes: new Map(),
      paymentMethods: new Map(),
      sessions: new Map(),
      paymentIntents: new Map(),
      charges: new Map(),
      refunds: new Map(),
      disputes: new Map(),
      subscriptions: new Map(),
      schedules: new Map(),
      invoices: new Map(),
      invoicePayments: new Map(),
      invoiceItems: new Map(),
      creditNotes: new Map(),
      balanceTransactions: new Map(),
      portalConfigurations: new Map(),
      portalSessions: new Map(),
      webhookEndpoints: new Map(),
    },
    hidden: {
      sessionDetails: new Map(),
      failingCards: new Set(),
      pendingLines: new Map(),
      unfinishedInvoices: new Map(),
      paymentByInvoice: new Map(),
      trialsAnnounced: new Set(),
      nextRefunds: [],
      deletedCustomers: new Set(),
      billingOffsetSeconds: 0,
      wallOffsetSeconds: 0,
    },
  };
}

/** Creates the world. `record` stores an event and sends it. */
export function createWorld(given: {
  clock: () => Date;
  publicUrl: string;
  state: { tables: Tables; hidden: Hidden };
  record(event: {
    type: string;
    object: StripeObject;
    before: StripeObject | undefined;
    created: number;
    request: RequestStamp;
  }): void;
}): World {
  let frozenBilling: number | undefined;
  const { tables, hidden } = given.state;
  const wallNow = (): number =>
    Math.floor(given.clock().getTime() / 1000) + hidden.wallOffsetSeconds;
  const world: World = {
    tables,
    hidden,
    publicUrl: given.publicUrl,
    dunning: { retryAfterDays: [3, 5, 7], end: "cancel" },
    request: { id: null, idempotencyKey: null },
    wallNow,
    billingNow: () => frozenBilling ?? wallNow() + hidden.billingOffsetSeconds,
    atBillingTime: (seconds, work) => {
      const previous = frozenBilling;
      frozenBilling = seconds;
      try {
        work();
      } finally {
        frozenBilling = previous;
      }
    },
    newId: (prefix, length = 24) => `${prefix}_${randomText(length)}`,
    emit: (type, object, before) =>
      given.record({ type, object, before, created: wallNow(), request: world.request }),
  };
  return world;
}

/** A deep copy, for comparing with the object after a change. */
export function snapshot<T>(value: T): T {
  return structuredClone(value);
}

function isPlain(value: Json): value is { [field: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The old values of the fields that differ between `before` and `after`: an event's `previous_attributes`. */
export function previousAttributes(before: Json, after: Json): { [field: string]: Json } {
  const changed: { [field: string]: Json } = {};
  if (!isPlain(before) || !isPlain(after)) return changed;
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const was = before[field];
    const is = after[field];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    changed[field] = isPlain(was) && isPlain(is) ? previousAttributes(was, is) : (was ?? null);
  }
  return changed;
}

/** Changes an object and emits `type` with the previous values, unless nothing changed. */
export function change<T extends StripeObject>(
  world: World,
  object: T,
  type: string,
  mutate: (object: T) => void,
): void {
  const before = snapshot(object);
  mutate(object);
  if (JSON.stringify(before) !== JSON.stringify(object)) world.emit(type, object, before);
}

/** Returns the row with this id. Throws Stripe's `resource_missing` when there is none. */
export function need<T>(table: Map<string, T>, what: string, id: string, param = "id"): T {
  const found = table.get(id);
  if (found === undefined) throw missing(what, id, param);
  return found;
}
