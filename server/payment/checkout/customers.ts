// The Stripe customer of a user: created once, and stored before anything is sold.
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { notFound } from "../../lib/errors.ts";
import type { CustomerRecord, PaymentStore } from "../ports.ts";
import { isRefusal, refusalOf } from "../stripe/errors.ts";
import type { StripePort } from "../stripe/port.ts";

/** The Stripe customers of our users. */
export type Customers = ReturnType<typeof createCustomers>;

/** An idempotency key may replay the vanished customer once more, so a single retry is not enough. */
const MAX_ROUNDS = 3;
const MAX_FORGOTTEN = 1_000;

interface CustomersState {
  readonly store: Pick<PaymentStore, "customers">;
  readonly stripe: StripePort;
  /** The last vanished customer by user. Rare: a restarted sandbox, a customer deleted by hand. */
  readonly forgotten: LRUCache<string, string>;
}

/** Returns the customers. It remembers the ones that Stripe no longer knows. */
export function createCustomers({ store, stripe }: Pick<CustomersState, "store" | "stripe">) {
  const state: CustomersState = { store, stripe, forgotten: new LRUCache({ max: MAX_FORGOTTEN }) };
  return {
    /** Returns the user's customer id, or null. */
    find: async (userId: string) => (await store.customers.find(userId))?.stripeCustomerId ?? null,
    /**
     * Returns the user's customer id, creating it at Stripe if needed; concurrent calls create one. Throws
     * NOT_FOUND for a deleted user.
     */
    ensure: (userId: string) => ensureCustomer(state, userId),
    /** Forgets a customer that Stripe no longer knows. */
    forget: (userId: string, customerId: string) => forgetCustomer(state, userId, customerId),
    /** Runs `use` with the user's customer. A customer that Stripe no longer knows is forgotten and recreated. */
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
  // One key per user creates one customer, however many calls are made. A customer that vanished needs a new key.
  const former = forgotten.get(userId);
  const key = `customer:${userId}${former === undefined ? "" : `:after:${former}`}`;
  try {
    return await stripe.createCustomer({ userId, email, name }, key);
  } catch (error) {
    // The name or e-mail changed since an attempt whose response was lost: make the details part of the key.
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
