// Cancelling at the period's end, and undoing that.
import type { PaymentOutput, Subscription } from "../payment.types.ts";
import { isRefusal } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";
import { isLive } from "../sync/subscription-status.ts";
import { saveChangedSubscription, syncWithStripe } from "../sync/sync.ts";
import { replacePendingWithEnd, releasePending } from "./downgrades.ts";
import { getLiveSubscription, getSubscriptionState } from "./subscription-state.ts";

type Change = "atPeriodEnd" | "resume" | "clearDate";

/** Makes the subscription end with its period (`cancel`), or continue. Throws NOT_FOUND, PAYMENT_PROVIDER_ERROR. */
export async function setCancelAtPeriodEnd(
  deps: SyncDeps,
  userId: string,
  cancel: boolean,
): Promise<PaymentOutput<"cancelSubscription">> {
  const live = await getLiveSubscription(deps.store, userId);
  // Stripe's own object shows which end is set: the period's, or a date chosen by the merchant.
  const current = await deps.stripe.getSubscription(live.stripeSubscriptionId);
  const change = neededChange(current, cancel);
  const changed =
    change === null || !isLive(current.status)
      ? current
      : await orderCancellation(deps, live, current, change);
  await saveChangedSubscription(deps, changed, live.version);
  return { subscription: await getSubscriptionState(deps.store, userId) };
}

/** Keeps the current plan: undoes a change that waits for the period's end. Safe to repeat. Throws NOT_FOUND. */
export async function cancelPlanChange(
  deps: SyncDeps,
  userId: string,
): Promise<PaymentOutput<"cancelPlanChange">> {
  const live = await getLiveSubscription(deps.store, userId);
  const { stripeSubscriptionId: subscriptionId } = live;
  await releasePending(deps.stripe, await deps.stripe.getSubscription(subscriptionId));
  await syncWithStripe(deps, { kind: "subscription", subscriptionId });
  return { subscription: await getSubscriptionState(deps.store, userId) };
}

/** The change needed so that it ends with its period, or does not end; null when none is needed. */
function neededChange(current: StripeSubscription, cancel: boolean): Change | null {
  if (cancel) return current.cancelAtPeriodEnd ? null : "atPeriodEnd";
  if (current.cancelAtPeriodEnd) return "resume";
  return current.cancelAt === null ? null : "clearDate";
}

async function orderCancellation(
  { stripe }: SyncDeps,
  live: Subscription,
  current: StripeSubscription,
  change: Change,
): Promise<StripeSubscription> {
  // With the row's version in the key, a double click is one order, and cancel-resume-cancel is three.
  const key = `${change === "atPeriodEnd" ? "cancel" : "resume"}:${live.id}:${live.version}`;
  try {
    // Stripe refuses this while a schedule is in control. Besides, a subscription that is ending keeps its plan.
    if (change === "atPeriodEnd") await replacePendingWithEnd(stripe, current, key);
    else await releasePending(stripe, current);
    return await stripe.setCancellation(live.stripeSubscriptionId, change, key);
  } catch (error) {
    if (!isRefusal(error, "invalid") && !isRefusal(error, "missing")) throw error;
    // It may have ended meanwhile, or already be as wanted: then return its current state. Anything else is a failure.
    const now = await stripe.getSubscription(live.stripeSubscriptionId);
    if (isLive(now.status) && neededChange(now, change === "atPeriodEnd") !== null) throw error;
    return now;
  }
}
