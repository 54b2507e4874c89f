// Subscribing: only a user without a live subscription, here or at Stripe, gets a checkout.
import { AppError } from "../../lib/errors.ts";
import { type CheckoutDeps, type OpenCheckout, openCheckout } from "../checkout/open-checkout.ts";
import { unlessMissing } from "../stripe/errors.ts";
import { syncWithStripe } from "../sync/sync.ts";
import { closeSubscription } from "./close-subscription.ts";

/** Dependencies of a subscriber's actions. */
export interface SubscriptionDeps extends CheckoutDeps {
  /** Whether Stripe is the sandbox, whose objects may vanish on a restart. */
  readonly sandbox: boolean;
}

/** Opens the checkout of a plan. Throws NOT_FOUND, CONFLICT (subscribed already), PAYMENT_PROVIDER_ERROR. */
export async function subscribe(
  deps: SubscriptionDeps,
  userId: string,
  planId: string,
): Promise<OpenCheckout> {
  const offer = await deps.catalog.plan(planId);
  await catchUp(deps, userId);
  if ((await deps.store.subscriptions.findLive(userId)) !== null)
    throw AppError.of("CONFLICT", "You have a subscription already. Change its plan instead.");
  return openCheckout(deps, userId, { kind: "PLAN", offer });
}

/** Syncs everything that is live at Stripe, including a subscription whose events were lost. */
async function catchUp(deps: SubscriptionDeps, userId: string): Promise<void> {
  const { store, stripe, customers } = deps;
  const live = await store.subscriptions.findLive(userId);
  const liveId = live?.stripeSubscriptionId;
  if (live !== null && liveId !== undefined) {
    const { outcome } = await syncWithStripe(deps, {
      kind: "subscription",
      subscriptionId: liveId,
    });
    // A restarted sandbox forgets. At the real Stripe, a missing one means the wrong account, so keep our copy.
    if (outcome === "ignored" && deps.sandbox) await closeSubscription(deps, live);
  }
  const customerId = await customers.find(userId);
  if (customerId === null) return;
  for (const { id } of await unlessMissing(stripe.listSubscriptions(customerId), []))
    if (id !== liveId) await syncWithStripe(deps, { kind: "subscription", subscriptionId: id });
}
