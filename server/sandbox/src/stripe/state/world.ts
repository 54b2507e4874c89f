// The state of the Stripe stand-in: the tables, ids, both clocks, and how a change becomes an event.
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
  TrialWish,
} from "../objects/types-billing.ts";
import type {
  CreditNote,
  CustomerBalanceTransaction,
  InvoiceItem,
} from "../objects/types-credit.ts";
import { missing } from "../api/wire.ts";

/** What a checkout session carries besides its public object. */
export interface SessionDetails {
  lines: CheckoutLine[];
  intentMetadata: Metadata;
  intentDescription: string | null;
  setupFutureUsage: string | null;
  subscriptionMetadata: Metadata;
  /** The free trial the subscription is to start with. */
  trial?: TrialWish;
  /** Set while a delayed payment is under way. */
  delayed: boolean;
}

/** A type, not an interface, so that `Object.values` knows what it holds. */
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

/** State beside the public objects. */
export interface Hidden {
  sessionDetails: Map<string, SessionDetails>;
  /** Customers whose card is refused from now on. */
  failingCards: Set<string>;
  /** Lines that wait for the next invoice, by subscription, or by customer for any of its subscriptions. */
  pendingLines: Map<string, InvoiceLine[]>;
  /** Drafts and open invoices by subscription: what the billing clock still has to look at. */
  unfinishedInvoices: Map<string, Set<string>>;
  /** The payment tie of each finalised invoice. */
  paymentByInvoice: Map<string, string>;
  /** Ends of trials that were announced, by subscription and end. */
  trialsAnnounced: Set<string>;
  /** How the next refunds go, first come first. */
  nextRefunds: ("succeeded" | "pending" | "failing")[];
  /** Customers that were deleted, so that a retrieve answers `deleted: true`. */
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
  /** Unix seconds for subscriptions and invoices: the movable test clock. */
  billingNow(): number;
  /** Runs `work` with the billing clock standing at `seconds`. */
  atBillingTime(seconds: number, work: () => void): void;
  newId(prefix: string, length?: number): string;
  /** Records an event about `object` as it is now; `before` gives `previous_attributes`. */
  emit(type: string, object: StripeObject, before?: StripeObject): void;
  /** How unpaid invoices are retried, and what happens to the subscription after the last attempt. */
  dunning: { retryAfterDays: number[]; end: "cancel" | "unpaid" };
  /** The API request now being handled, for the event envelope. */
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

/** Creates the world. `record` stores and sends an event. */
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

/** A deep copy, to compare with or to keep as it was. */
export function snapshot<T>(value: T): T {
  return structuredClone(value);
}

function isPlain(value: Json): value is { [field: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What changed from `before` to `after`, as the old values: an event's `previous_attributes`. */
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

/** Changes an object and emits `type` with what changed; nothing is emitted when nothing did. */
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

/** The row with this id, or Stripe's `resource_missing`. */
export function need<T>(table: Map<string, T>, what: string, id: string, param = "id"): T {
  const found = table.get(id);
  if (found === undefined) throw missing(what, id, param);
  return found;
}
