// Ends everything that could still bill a user, when the account is deleted.
import { closeCheckouts } from "../checkout/open-checkout.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import { isLive } from "../sync/subscription-status.ts";
import { saveChangedSubscription } from "../sync/sync.ts";
import { readVersion } from "../sync/subscription.sync.ts";
import { closeSubscription } from "./close-subscription.ts";
import { releasePending } from "./downgrades.ts";
import type { SubscriptionDeps } from "./subscribe.ts";

/** Ends all live subscriptions at Stripe now, closes open checkouts. Safe to repeat. Throws PAYMENT_PROVIDER_ERROR. */
export async function endSubscriptions(deps: SubscriptionDeps, userId: string): Promise<void> {
  const { store, stripe, customers } = deps;
  const known = await store.subscriptions.ofUser(userId);
  const live = known.filter(({ status }) => isLive(status));
  const ids = new Set(live.map(({ stripeSubscriptionId }) => stripeSubscriptionId));
  // Checkouts first: one paid a moment later would start a subscription that nothing ends.
  await closeCheckouts(deps, userId);
  const customerId = await customers.find(userId);
  if (customerId !== null) {
    // Only an unknown customer counts as having none: a refused key must not let the deletion proceed.
    const listed = await unlessMissing(stripe.listSubscriptions(customerId), []);
    for (const { id } of listed) ids.add(id);
  }
  for (const id of ids) {
    try {
      await endSubscription(deps, id);
    } catch (error) {
      // A restarted sandbox forgets its subscriptions and bills no one. At the real Stripe, a missing one means the
      // wrong account: in its own account it keeps billing.
      if (!isRefusal(error, "missing") || !deps.sandbox) throw error;
      const ours = known.find(({ stripeSubscriptionId }) => stripeSubscriptionId === id);
      if (ours !== undefined) await closeSubscription(deps, ours);
    }
  }
}

async function endSubscription(deps: SubscriptionDeps, subscriptionId: string): Promise<void> {
  const { store, stripe } = deps;
  const version = await readVersion(store, subscriptionId);
  const cancel = () => stripe.cancelSubscription(subscriptionId, `end:${subscriptionId}`);
  // A pending plan change ends with it. Releasing it first would lose it if the end then failed and the account stayed.
  const ended = await cancel().catch(async (error: unknown) => {
    if (!isRefusal(error, "invalid")) throw error;
    await releasePending(stripe, await stripe.getSubscription(subscriptionId));
    return cancel();
  });
  await saveChangedSubscription(deps, ended, version);
}
