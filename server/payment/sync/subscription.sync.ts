// Our copy of a Stripe subscription: derived from Stripe's current object, never from the order of events.
import { newId } from "../../lib/ids.ts";
import { nextBillingDate } from "../catalog/billing-months.ts";
import { findPlanItem, type PlanItem } from "../catalog/plan-item.ts";
import type { Subscription } from "../payment.types.ts";
import type { PaymentTables, PaymentTransaction } from "../ports.ts";
import { unlessMissing } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import { allOf, ignored, type SyncDeps, type SyncEffect, unknownToStripe } from "./apply-sync.ts";
import { findCheckout } from "./checkout-lookup.ts";
import { readPendingPlan } from "./pending-plan.ts";
import { isLive } from "./subscription-status.ts";
import { endUnwanted } from "./unwanted-subscription.ts";

/** What was known here before Stripe was read. */
interface Seen {
  /** Our row's version; null when there was none. */
  readonly version: number | null;
  /** The plan one of its invoices was for, in case its price is not (or no longer) ours. */
  readonly paidPlanId?: string | undefined;
}

/** Reads a subscription at Stripe. */
export async function subscriptionEffect(
  deps: SyncDeps,
  stripeSubscriptionId: string,
): Promise<SyncEffect> {
  // Our version first, Stripe second: any write in between makes this effect stale.
  const version = await readVersion(deps.store, stripeSubscriptionId);
  const subscription = await unlessMissing(deps.stripe.getSubscription(stripeSubscriptionId), null);
  if (subscription === null) return unknownToStripe("this subscription");
  return fetchedSubscriptionEffect(deps, subscription, { version });
}

/** Returns the version of our row for a subscription; null when there is none. */
export async function readVersion(
  { subscriptions }: Pick<PaymentTables, "subscriptions">,
  stripeSubscriptionId: string,
): Promise<number | null> {
  return (await subscriptions.findByStripeId(stripeSubscriptionId))?.version ?? null;
}

/** Like subscriptionEffect, for an object that was fetched after `seen` was read. */
export async function fetchedSubscriptionEffect(
  deps: SyncDeps,
  fetched: StripeSubscription,
  seen: Seen,
): Promise<SyncEffect> {
  const known = await deps.store.subscriptions.findByStripeId(fetched.id);
  const userId = known?.userId ?? (await findOwner(deps, fetched));
  if (userId === null) return ignored("The customer is not one of ours.");
  const planItem = await findPlanItem(deps.catalog, fetched);
  // A subscription known as ours is followed to its end, whatever price it is moved to.
  const planId = planItem.priced?.plan.id ?? known?.planId ?? seen.paidPlanId;
  if (planId === undefined) return ignored("The subscription's price is not in the catalog.");
  const { subscription, first } = await keepOneLive(deps, userId, fetched);
  const pending = await readPendingPlan(deps, subscription, planItem);
  const effect: SyncEffect = {
    kind: "effect",
    userId,
    apply: (tx) =>
      writeSubscription(deps, tx, {
        ...{ subscription, planItem, userId, version: seen.version },
        facts: { ...pending, planId },
      }),
  };
  return first === null ? effect : allOf(userId, [first, effect]);
}

/** Its owner, by the customer or by the checkout it started with (the customer may be a former one). */
async function findOwner(
  { store, stripe }: SyncDeps,
  subscription: StripeSubscription,
): Promise<string | null> {
  const userId = await store.customers.findUserId(subscription.customerId);
  if (userId !== null) return userId;
  const session = await stripe.findCheckoutBySubscription(subscription.id);
  return session === null ? null : ((await findCheckout(store, session))?.userId ?? null);
}

/**
 * Ends `fetched`, if it is still live, when another of the user's subscriptions is live at Stripe too, or the user is
 * erased. Another one that is live only in our database is synced `first`.
 */
async function keepOneLive(
  deps: SyncDeps,
  userId: string,
  fetched: StripeSubscription,
): Promise<{ subscription: StripeSubscription; first: SyncEffect | null }> {
  if (!isLive(fetched.status)) return { subscription: fetched, first: null };
  // No one could sign in to cancel it.
  if (await isErased(deps.store, userId))
    return { subscription: await endUnwanted(deps, fetched, "account deleted"), first: null };
  const other = await findOtherLive(deps.store, userId, fetched.id);
  if (other === null) return { subscription: fetched, first: null };
  // Our copy may just be stale: nothing is ended before Stripe itself says that both are live.
  const current = await unlessMissing(
    deps.stripe.getSubscription(other.stripeSubscriptionId),
    null,
  );
  if (current === null) return { subscription: fetched, first: closeUnknown(deps, other) };
  if (isLive(current.status))
    return { subscription: await endUnwanted(deps, fetched, "duplicate"), first: null };
  const first = await fetchedSubscriptionEffect(deps, current, { version: other.version });
  return { subscription: fetched, first };
}

/** Closes our copy of a subscription Stripe does not know. It knows another of the same user, so the key is right. */
function closeUnknown({ logger, now }: SyncDeps, subscription: Subscription): SyncEffect {
  const { userId, stripeSubscriptionId: subscriptionId } = subscription;
  logger.warn({ subscriptionId, userId }, "subscription unknown to Stripe; another one is live");
  return {
    kind: "effect",
    userId,
    apply: async (tx) => {
      await tx.subscriptions.close(subscription, new Date(now()));
      return "done";
    },
  };
}

async function findOtherLive(
  { subscriptions }: Pick<PaymentTables, "subscriptions">,
  userId: string,
  stripeSubscriptionId: string,
): Promise<Subscription | null> {
  const live = await subscriptions.findLive(userId);
  return live?.stripeSubscriptionId === stripeSubscriptionId ? null : live;
}

/** Whether the account is erased, after which its purchases benefit no one. */
export async function isErased(
  { customers }: Pick<PaymentTables, "customers">,
  userId: string,
): Promise<boolean> {
  const user = await customers.find(userId);
  return user !== null && user.deletedAt !== null;
}

async function writeSubscription(
  { now }: Pick<SyncDeps, "now">,
  tx: PaymentTransaction,
  sync: {
    readonly subscription: StripeSubscription;
    readonly planItem: PlanItem;
    readonly userId: string;
    readonly version: number | null;
    readonly facts: Pick<
      Subscription,
      "planId" | "stripeScheduleId" | "pendingPlanId" | "pendingPlanAt"
    >;
  },
): Promise<"done" | "stale"> {
  const { subscription, planItem, userId } = sync;
  const row = await tx.subscriptions.findByStripeId(subscription.id);
  if ((row?.version ?? null) !== sync.version) return "stale";
  const live = isLive(subscription.status);
  if (live && (await findOtherLive(tx, userId, subscription.id)) !== null) return "stale";
  if (live && (await isErased(tx, userId))) return "stale";
  const facts = {
    ...toFacts(subscription, planItem, row?.nextGrantAt ?? null),
    ...sync.facts,
    liveKey: live ? userId : null,
  };
  if (row === null)
    await tx.subscriptions.create({
      ...facts,
      id: newId(now()),
      userId,
      stripeSubscriptionId: subscription.id,
      version: 0,
      createdAt: subscription.createdAt,
    });
  else await tx.subscriptions.update(row.id, { ...facts, version: row.version + 1 });
  return "done";
}

/** What our row stores of Stripe's object. `nextGrantAt` = the row's current value. */
function toFacts(
  subscription: StripeSubscription,
  { item, priced }: PlanItem,
  nextGrantAt: Date | null,
) {
  const { cancelAt } = subscription;
  const isYearly = priced === null ? nextGrantAt !== null : priced.plan.interval === "year";
  return {
    stripeCustomerId: subscription.customerId,
    status: subscription.status,
    quantity: item.quantity,
    currentPeriodStart: item.currentPeriodStart,
    currentPeriodEnd: item.currentPeriodEnd,
    // A date further ahead is an end too, but not at the end of this period.
    cancelAtPeriodEnd:
      subscription.cancelAtPeriodEnd || (cancelAt !== null && cancelAt <= item.currentPeriodEnd),
    cancelAt: cancelAt ?? (subscription.cancelAtPeriodEnd ? item.currentPeriodEnd : null),
    canceledAt: subscription.canceledAt,
    endedAt: subscription.endedAt,
    nextGrantAt:
      isLive(subscription.status) && isYearly
        ? (nextGrantAt ?? nextBillingDate(subscription.billingAnchor, item.currentPeriodStart))
        : null,
  };
}
