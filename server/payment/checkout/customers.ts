// Owns the Stripe customer of a user: made once, stored before anything is sold.
import { createHash } from "node:crypto";
import { AppError } from "../../lib/errors.ts";
import { isRefusal, refusalOf } from "../stripe/errors.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

/** The customers of our users. */
export interface Customers {
  /** The user's customer id, made at Stripe if need be. Calls at once make one. Throws NOT_FOUND for a deleted user. */
  ensure(userId: string): Promise<string>;
  /** The user's customer id, or null. */
  find(userId: string): Promise<string | null>;
  /** Does something with the user's customer; one that Stripe does not know any more is forgotten and made anew. */
  using<T>(userId: string, use: (customerId: string) => Promise<T>): Promise<T>;
  /** Forgets a customer that Stripe does not know any more. */
  forget(userId: string, customerId: string): Promise<void>;
}

/** A key Stripe remembers may answer with the vanished customer once more, so one new try is not enough. */
const MAX_ROUNDS = 3;

/** Whether a refusal says that Stripe does not know the customer. */
function isCustomerMissing(error: unknown): boolean {
  const refusal = refusalOf(error);
  return refusal?.refusal === "missing" && (refusal.param ?? "customer") === "customer";
}

/** Makes the customers part. */
export function createCustomers(work: PaymentDeps): Customers {
  const { models } = work.database;
  // Rare (a sandbox started anew, a customer deleted by hand), so bounded by those few.
  const forgotten = new Map<string, string>();

  const userOf = (userId: string) =>
    models.user.findUnique({
      where: { id: userId },
      select: { email: true, name: true, stripeCustomerId: true, deletedAt: true },
    });

  async function forget(userId: string, customerId: string): Promise<void> {
    await models.user.updateMany({
      where: { id: userId, stripeCustomerId: customerId },
      data: { stripeCustomerId: null },
    });
    forgotten.set(userId, customerId);
  }

  async function ensure(userId: string): Promise<string> {
    const user = await userOf(userId);
    if (user === null || user.deletedAt !== null)
      throw AppError.of("NOT_FOUND", "There is no such user.");
    if (user.stripeCustomerId !== null) return user.stripeCustomerId;
    const person = { userId, email: user.email, name: user.name };
    // One key per user makes one customer, whoever calls however often. A customer that vanished needs a new key.
    const former = forgotten.get(userId);
    const key = `customer:${userId}${former === undefined ? "" : `:after:${former}`}`;
    const customer = await work.stripe.createCustomer(person, key).catch((error: unknown) => {
      // Name or address changed between a lost answer and now: the details become part of the key.
      if (!isRefusal(error, "keyReused")) throw error;
      const details = createHash("sha256").update(`${user.email}\n${user.name ?? ""}`);
      return work.stripe.createCustomer(person, `${key}:${details.digest("hex").slice(0, 16)}`);
    });
    await models.user.updateMany({
      where: { id: userId, stripeCustomerId: null },
      data: { stripeCustomerId: customer.id },
    });
    forgotten.delete(userId);
    const stored = (await userOf(userId))?.stripeCustomerId;
    if (!stored) throw AppError.of("NOT_FOUND", "There is no such user.");
    return stored;
  }

  return {
    find: async (userId) => (await userOf(userId))?.stripeCustomerId ?? null,
    forget,
    ensure,
    using: async (userId, use) => {
      for (let rounds = 1; ; rounds += 1) {
        const customerId = await ensure(userId);
        try {
          return await use(customerId);
        } catch (error) {
          if (!isCustomerMissing(error) || rounds >= MAX_ROUNDS) throw error;
          await forget(userId, customerId);
        }
      }
    },
  };
}
