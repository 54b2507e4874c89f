// Closes our copy of a subscription that Stripe no longer knows.
import type { Subscription } from "../payment.types.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";

/** Closes our copy, unless it has changed since it was read. */
export async function closeSubscription(
  { store, logger, now }: Pick<SyncDeps, "store" | "logger" | "now">,
  subscription: Subscription,
): Promise<void> {
  const { userId, stripeSubscriptionId: subscriptionId } = subscription;
  logger.warn({ subscriptionId }, "subscription unknown to Stripe");
  await store.lockedTransaction(userId, ({ subscriptions }) =>
    subscriptions.close(subscription, new Date(now())),
  );
}
