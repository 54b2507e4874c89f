// Our copy of a Stripe subscription is converged from Stripe's current object, never from the order of events.
import type { PrismaModels } from "../../database/ports.ts";
import { newId } from "../../lib/ids.ts";
import type { Catalogue } from "../catalog/catalog.ts";
import { nextAnchored } from "../catalog/billing-months.ts";
import { type PlanItem, planItemOf } from "../catalog/plan-item.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import { isRefusal } from "../stripe/errors.ts";
import { checkoutOf } from "./checkout-lookup.ts";
import { pendingPlanOf } from "./pending-plan.ts";
import { allOf, type PaymentDeps, type SyncEffect } from "./sync-transaction.ts";

/** The statuses that end a subscription for good. */
const ENDED = new Set(["canceled", "incomplete_expired"]);

/** Whether a subscription in this status still binds the user: at most one such per user. */
export function isLive(status: string): boolean {
  return !ENDED.has(status);
}

/** Whether paid-for months go on being granted. Past due grants nothing. */
export function isGranting(status: string): boolean {
  return status === "active" || status === "trialing";
}

/** The subscription part that looks at Stripe. */
export interface SubscriptionSync {
  effect(subscriptionId: string): Promise<SyncEffect>;
  /** The same, of an object just fetched after our row was read at `version` (null: there was none). */
  effectOfFetched(
    subscription: StripeSubscription,
    version: number | null,
    /** The plan an invoice of it was for, should its price be none of ours (any more). */
    paidPlanId?: string,
  ): Promise<SyncEffect>;
  versionOf(subscriptionId: string): Promise<number | null>;
}

/** What our row says of Stripe's object. `nextGrantAt` = the row's so far. */
function factsOf(subscription: StripeSubscription, current: PlanItem, nextGrantAt: Date | null) {
  const { item, priced } = current;
  const { cancelAt } = subscription;
  const isYearly = priced === null ? nextGrantAt !== null : priced.plan.interval === "year";
  return {
    stripeCustomerId: subscription.customerId,
    status: subscription.status,
    quantity: item.quantity,
    currentPeriodStart: item.currentPeriodStart,
    currentPeriodEnd: item.currentPeriodEnd,
    // A date months ahead is an end too, but not this period's.
    cancelAtPeriodEnd:
      subscription.cancelAtPeriodEnd || (cancelAt !== null && cancelAt <= item.currentPeriodEnd),
    cancelAt: cancelAt ?? (subscription.cancelAtPeriodEnd ? item.currentPeriodEnd : null),
    canceledAt: subscription.canceledAt,
    endedAt: subscription.endedAt,
    nextGrantAt:
      isLive(subscription.status) && isYearly
        ? (nextGrantAt ?? nextAnchored(subscription.billingAnchor, item.currentPeriodStart))
        : null,
  };
}

/** Makes the look at a subscription. */
export function createSubscriptionSync(work: PaymentDeps, catalogue: Catalogue): SubscriptionSync {
  const { stripe } = work;
  const { models } = work.database;

  const liveOther = (source: PrismaModels, userId: string, stripeSubscriptionId: string) =>
    source.subscription.findFirst({
      where: { liveKey: userId, NOT: { stripeSubscriptionId } },
      select: { stripeSubscriptionId: true },
    });

  /** Two tabs, two subscriptions: the second is ended at Stripe and its payment given back. */
  async function endDuplicate(subscription: StripeSubscription): Promise<StripeSubscription> {
    work.logger.warn({ subscriptionId: subscription.id }, "second live subscription ended");
    // Money first: if this stops half-way the subscription is still live and the next look goes on.
    // All of it: it may have been switched or renewed before it was heard of.
    const filter = { customerId: subscription.customerId, status: "paid", limit: 100 } as const;
    for (const invoice of await stripe.listInvoices(filter))
      if (invoice.subscriptionId === subscription.id && invoice.amountPaid > 0)
        await giveInvoiceBack(subscription.id, invoice.id);
    return stripe.cancelSubscription(subscription.id, `duplicate:${subscription.id}`);
  }

  async function giveInvoiceBack(subscriptionId: string, invoiceId: string): Promise<void> {
    const paymentIntentId = await stripe.findInvoicePaymentIntent(invoiceId);
    if (paymentIntentId === null || (await stripe.listRefunds(paymentIntentId)).length > 0) return;
    const order = { paymentIntentId, orderKey: `duplicate:${invoiceId}`, reason: "duplicate" };
    try {
      await stripe.createRefund(order, `duplicate-refund:${invoiceId}`);
    } catch (error) {
      // Refused for good: disputed, so the bank has the money. What goes on billing has to end all the same.
      if (!isRefusal(error, "invalid")) throw error;
      work.logger.error({ err: error, subscriptionId }, "second subscription not refunded");
    }
  }

  const versionOf = async (subscriptionId: string): Promise<number | null> =>
    (
      await models.subscription.findUnique({
        where: { stripeSubscriptionId: subscriptionId },
        select: { version: true },
      })
    )?.version ?? null;

  /** Whose it is: as our row says, by the customer, or by the checkout it began with (the customer may be a former one). */
  async function ownerOf(
    subscription: StripeSubscription,
    row: { userId: string } | null,
  ): Promise<string | null> {
    if (row !== null) return row.userId;
    const user = await models.user.findUnique({
      where: { stripeCustomerId: subscription.customerId },
      select: { id: true },
    });
    if (user !== null) return user.id;
    const session = await stripe.findCheckoutBySubscription(subscription.id);
    return session === null ? null : ((await checkoutOf(models, session))?.userId ?? null);
  }

  async function effectOfFetched(
    fetched: StripeSubscription,
    version: number | null,
    paidPlanId?: string,
  ): Promise<SyncEffect> {
    let subscription = fetched;
    const known = await models.subscription.findUnique({
      where: { stripeSubscriptionId: subscription.id },
      select: { userId: true, planId: true },
    });
    const userId = await ownerOf(subscription, known);
    if (userId === null) return { kind: "ignored", reason: "The customer is not one of ours." };
    const current = await planItemOf(catalogue, subscription);
    // What we know as ours is followed to its end, whatever it is moved to.
    const planId = current.priced?.plan.id ?? known?.planId ?? paidPlanId;
    if (planId === undefined)
      return { kind: "ignored", reason: "The subscription's price is not in the catalogue." };
    const other = isLive(fetched.status) ? await liveOther(models, userId, subscription.id) : null;
    let before: SyncEffect | null = null;
    if (other !== null) {
      // Ours may only be out of date: nothing is ended before Stripe itself says that both are live.
      const otherVersion = await versionOf(other.stripeSubscriptionId);
      const otherNow = await stripe.getSubscription(other.stripeSubscriptionId);
      if (isLive(otherNow.status)) subscription = await endDuplicate(subscription);
      else before = await effectOfFetched(otherNow, otherVersion);
    }

    const pending = await pendingPlanOf({ stripe, catalogue }, subscription, current);
    const effect: SyncEffect = {
      kind: "effect",
      userId,
      apply: async (tx) => {
        const row = await tx.models.subscription.findUnique({
          where: { stripeSubscriptionId: subscription.id },
        });
        if ((row?.version ?? null) !== version) return "stale";
        const live = isLive(subscription.status);
        if (live && (await liveOther(tx.models, userId, subscription.id)) !== null) return "stale";
        const facts = {
          ...factsOf(subscription, current, row?.nextGrantAt ?? null),
          ...pending,
          planId,
          liveKey: live ? userId : null,
        };
        if (row === null)
          await tx.models.subscription.create({
            data: {
              ...facts,
              id: newId(work.now()),
              userId,
              stripeSubscriptionId: subscription.id,
              version: 0,
              createdAt: subscription.createdAt,
            },
          });
        else
          await tx.models.subscription.update({
            where: { id: row.id },
            data: { ...facts, version: row.version + 1 },
          });
        return "done";
      },
    };
    return before === null ? effect : allOf(userId, [before, effect]);
  }

  return {
    versionOf,
    effectOfFetched,
    effect: async (subscriptionId) => {
      // Our version first, Stripe's truth second: whoever writes in between makes this look stale.
      const version = await versionOf(subscriptionId);
      try {
        return await effectOfFetched(await stripe.getSubscription(subscriptionId), version);
      } catch (error) {
        if (isRefusal(error, "missing"))
          return { kind: "ignored", reason: "Stripe does not know this subscription." };
        throw error;
      }
    },
  };
}
