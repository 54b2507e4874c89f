// The Stripe customer of a user: made once, stored before anything is sold.
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { notFound } from "../../lib/errors.ts";
import type { CustomerRecord, PaymentStore } from "../ports.ts";
import { isRefusal, refusalOf } from "../stripe/errors.ts";
import type { StripePort } from "../stripe/port.ts";

/** The customers of our users. */
export type Customers = ReturnType<typeof createCustomers>;

/** A key Stripe remembers may answer with the vanished customer once more, so one new try is not enough. */
const MAX_ROUNDS = 3;
const MAX_FORGOTTEN = 1_000;

interface CustomersState {
  readonly store: Pick<PaymentStore, "customers">;
  readonly stripe: StripePort;
  /** By user. Rare: a sandbox started again, a customer deleted by hand. */
  readonly forgotten: LRUCache<string, string>;
}

/** Returns the customers, and remembers whom Stripe has forgotten. */
export function createCustomers({ store, stripe }: Pick<CustomersState, "store" | "stripe">) {
  const state: CustomersState = { store, stripe, forgotten: new LRUCache({ max: MAX_FORGOTTEN }) };
  return {
    /** The user's customer id, or null. */
    find: async (userId: string) => (await store.customers.find(userId))?.stripeCustomerId ?? null,
    /** The user's customer id, made at Stripe if need be. Calls at once make one. Throws NOT_FOUND for a deleted user. */
    ensure: (userId: string) => ensureCustomer(state, userId),
    /** Forgets a customer that Stripe does not know any more. */
    forget: (userId: string, customerId: string) => forgetCustomer(state, userId, customerId),
    /** Does something with the user's customer; one that Stripe does not know any more is forgotten and recreated. */
    using: <T>(userId: string, use: (customerId: string) => Promise<T>) =>
      withCustomer(state, userId, use),
  };
}

async function ensureCustomer(state: CustomersState, userId: string): Promise<string> {
  const { customers } = state.store;
  const user = await customers.find(userId);
  if (user === null || user.deletedAt !== null) throw notFound("user");
  if (user.stripeCustomerId !== null) return user.stripeCustomerId;
  const { id } = await createCustomer(state, userId, user);
  await customers.setCustomer(userId, id);
  state.forgotten.delete(userId);
  const stored = (await customers.find(userId))?.stripeCustomerId;
  if (!stored) throw notFound("user");
  return stored;
}

async function createCustomer(
  { stripe, forgotten }: CustomersState,
  userId: string,
  { email, name }: CustomerRecord,
): Promise<{ id: string }> {
  // One key per user makes one customer, whoever calls however often. A customer that vanished needs a new key.
  const former = forgotten.get(userId);
  const key = `customer:${userId}${former === undefined ? "" : `:after:${former}`}`;
  try {
    return await stripe.createCustomer({ userId, email, name }, key);
  } catch (error) {
    // Name or address changed between a lost answer and now: the details become part of the key.
    if (!isRefusal(error, "keyReused")) throw error;
    const details = createHash("sha256")
      .update(`${email}\n${name ?? ""}`)
      .digest("hex");
    return stripe.createCustomer({ userId, email, name }, `${key}:${details.slice(0, 16)}`);
  }
}

async function forgetCustomer(
  { store, forgotten }: CustomersState,
  userId: string,
  customerId: string,
): Promise<void> {
  await store.customers.forgetCustomer(userId, customerId);
  forgotten.set(userId, customerId);
}

async function withCustomer<T>(
  state: CustomersState,
  userId: string,
  use: (customerId: string) => Promise<T>,
): Promise<T> {
  for (let rounds = 1; ; rounds += 1) {
    const customerId = await ensureCustomer(state, userId);
    try {
      return await use(customerId);
    } catch (error) {
      if (!isCustomerMissing(error) || rounds >= MAX_ROUNDS) throw error;
      await forgetCustomer(state, userId, customerId);
    }
  }
}

/** Whether a refusal says that Stripe does not know the customer. */
function isCustomerMissing(error: unknown): boolean {
  const refusal = refusalOf(error);
  return refusal?.refusal === "missing" && (refusal.param ?? "customer") === "customer";
}
