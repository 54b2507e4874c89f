// Owns what a subscriber does: subscribe, look, cancel, resume, and end for good.
import type { z } from "zod";
import type { subscriptionState } from "../../../shared/src/payment.ts";
import type { PrismaModels } from "../../database/ports.ts";
import { AppError } from "../../lib/errors.ts";
import type { Catalogue } from "../catalog/catalog.ts";
import type { Checkouts, OpenCheckout } from "../checkout/checkouts.ts";
import type { Customers } from "../checkout/customers.ts";
import type { Fulfilment } from "../sync/sync.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import { isLive } from "../sync/subscription.sync.ts";
import { releasePending } from "./downgrades.ts";
import { lockUser } from "../../database/lock-user.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

type SubscriptionRow = NonNullable<Awaited<ReturnType<PrismaModels["subscription"]["findUnique"]>>>;
type SubscriptionState = z.output<typeof subscriptionState>;

/** The subscriber's part of the payment service. */
export interface Subscriptions {
  subscribe(userId: string, planId: string): Promise<OpenCheckout>;
  /** The live subscription as callers see it; null when there is none. */
  current(userId: string): Promise<SubscriptionState | null>;
  /** The live row. Throws NOT_FOUND. */
  liveRow(userId: string): Promise<SubscriptionRow>;
  /** The live subscription as callers see it. Throws NOT_FOUND. */
  state(userId: string): Promise<SubscriptionState>;
  setCancelAtPeriodEnd(userId: string, cancel: boolean): Promise<SubscriptionState>;
  /** Takes a change that waits for the period's end back. Safe to repeat. */
  cancelPlanChange(userId: string): Promise<SubscriptionState>;
  end(userId: string): Promise<void>;
  /** Closes our copy of a subscription that Stripe does not know any more. */
  close(row: SubscriptionRow): Promise<void>;
}

/** What has to be ordered so that it ends with its period, or does not end; null when it is so already. */
function cancellationChange(now: StripeSubscription, cancel: boolean) {
  if (cancel) return now.cancelAtPeriodEnd ? null : "atPeriodEnd";
  if (now.cancelAtPeriodEnd) return "resume";
  return now.cancelAt === null ? null : "clearDate";
}

/** Makes the subscriber's part. */
export function createSubscriptions(
  work: PaymentDeps & { readonly sandbox: boolean },
  parts: {
    catalogue: Catalogue;
    customers: Customers;
    checkouts: Checkouts;
    fulfilment: Fulfilment;
  },
): Subscriptions {
  const { stripe } = work;
  const { models } = work.database;
  const { catalogue, customers, checkouts, fulfilment } = parts;

  const liveRowOrNull = (userId: string) =>
    models.subscription.findUnique({ where: { liveKey: userId } });

  async function liveRow(userId: string): Promise<SubscriptionRow> {
    const row = await liveRowOrNull(userId);
    if (row === null) throw AppError.of("NOT_FOUND", "You have no subscription.");
    return row;
  }

  async function current(userId: string): Promise<SubscriptionState | null> {
    const row = await liveRowOrNull(userId);
    if (row === null) return null;
    const plan = await models.plan.findUnique({ where: { id: row.planId } });
    if (plan === null) return null;
    const next =
      row.pendingPlanId === null
        ? null
        : await models.plan.findUnique({ where: { id: row.pendingPlanId } });
    return {
      id: row.id,
      planId: row.planId,
      tier: plan.tier,
      interval: plan.interval === "year" ? "year" : "month",
      status: row.status,
      // All that is paid and granted, should a merchant have sold several.
      credits: plan.credits * row.quantity,
      price: plan.price * row.quantity,
      currency: plan.currency,
      currentPeriodStart: row.currentPeriodStart.toISOString(),
      currentPeriodEnd: row.currentPeriodEnd.toISOString(),
      cancelAtPeriodEnd: row.cancelAtPeriodEnd,
      cancelAt: row.cancelAt?.toISOString() ?? null,
      pendingPlan:
        next === null || row.pendingPlanAt === null
          ? null
          : { planId: next.id, name: next.name, effectiveAt: row.pendingPlanAt.toISOString() },
    };
  }

  async function state(userId: string): Promise<SubscriptionState> {
    const now = await current(userId);
    if (now === null) throw AppError.of("NOT_FOUND", "You have no subscription.");
    return now;
  }

  async function close(row: SubscriptionRow): Promise<void> {
    work.logger.warn(
      { subscriptionId: row.stripeSubscriptionId },
      "subscription unknown to Stripe",
    );
    await work.database.transaction(async (tx) => {
      await lockUser(tx, row.userId);
      await tx.models.subscription.updateMany({
        where: { id: row.id, version: row.version },
        data: {
          status: "canceled",
          liveKey: null,
          nextGrantAt: null,
          endedAt: new Date(work.now()),
          version: row.version + 1,
        },
      });
    });
  }

  /** Whatever is live at Stripe becomes known here; a subscription whose events were lost counts too. */
  async function catchUp(userId: string): Promise<void> {
    const row = await liveRowOrNull(userId);
    if (row !== null) {
      const settled = await fulfilment.fulfil({
        kind: "subscription",
        subscriptionId: row.stripeSubscriptionId,
      });
      // A sandbox started anew forgets; at the real Stripe a missing one means the wrong account: keep what we know.
      if (settled.outcome === "ignored" && work.sandbox) await close(row);
    }
    const customerId = await customers.find(userId);
    if (customerId === null) return;
    const live = await unlessMissing(stripe.listSubscriptions(customerId), []);
    for (const { id } of live)
      if (id !== row?.stripeSubscriptionId)
        await fulfilment.fulfil({ kind: "subscription", subscriptionId: id });
  }

  async function orderCancellation(
    row: SubscriptionRow,
    now: StripeSubscription,
    change: "atPeriodEnd" | "resume" | "clearDate",
  ): Promise<StripeSubscription> {
    // Stripe refuses this while a schedule decides; what ends does not change its plan any more.
    await releasePending(stripe, now);
    // The row's version makes a double click one order, and cancel-resume-cancel three.
    const key = `${change === "atPeriodEnd" ? "cancel" : "resume"}:${row.id}:${row.version}`;
    return stripe
      .setCancellation(row.stripeSubscriptionId, change, key)
      .catch(async (error: unknown) => {
        if (!isRefusal(error, "invalid") && !isRefusal(error, "missing")) throw error;
        // It ended in the meantime: converge and say so.
        return stripe.getSubscription(row.stripeSubscriptionId);
      });
  }

  return {
    current,
    state,
    liveRow,
    close,
    subscribe: async (userId, planId) => {
      const plan = await catalogue.plan(planId);
      await catchUp(userId);
      if ((await liveRowOrNull(userId)) !== null)
        throw AppError.of("CONFLICT", "You have a subscription already. Change its plan instead.");
      return checkouts.open(userId, { kind: "PLAN", offer: plan });
    },
    setCancelAtPeriodEnd: async (userId, cancel) => {
      const row = await liveRow(userId);
      // Stripe's own object tells which end is set: this period's, or a date of the merchant's.
      const now = await stripe.getSubscription(row.stripeSubscriptionId);
      const change = cancellationChange(now, cancel);
      const changed =
        change === null || !isLive(now.status) ? now : await orderCancellation(row, now, change);
      await fulfilment.keep(changed, row.version);
      return state(userId);
    },
    cancelPlanChange: async (userId) => {
      const row = await liveRow(userId);
      await releasePending(stripe, await stripe.getSubscription(row.stripeSubscriptionId));
      await fulfilment.fulfil({
        kind: "subscription",
        subscriptionId: row.stripeSubscriptionId,
      });
      return state(userId);
    },
    end: async (userId) => {
      const rows = await models.subscription.findMany({ where: { userId } });
      const ids = new Set(
        rows.filter((row) => isLive(row.status)).map((row) => row.stripeSubscriptionId),
      );
      // Checkouts first: what is paid a moment later would be a subscription nobody ends.
      await checkouts.closeAll(userId);
      const customerId = await customers.find(userId);
      if (customerId !== null) {
        // Only an unknown customer has none: a refused key must not let the deletion go on.
        const live = await unlessMissing(stripe.listSubscriptions(customerId), []);
        for (const { id } of live) ids.add(id);
      }
      for (const id of ids) {
        const version = await fulfilment.subscriptionVersion(id);
        try {
          await releasePending(stripe, await stripe.getSubscription(id));
          const ended = await stripe.cancelSubscription(id, `end:${id}`);
          await fulfilment.keep(ended, version);
        } catch (error) {
          // What Stripe does not know cannot be billed.
          const row = rows.find((candidate) => candidate.stripeSubscriptionId === id);
          if (!isRefusal(error, "missing")) throw error;
          if (row !== undefined) await close(row);
        }
      }
    },
  };
}
