// Owns changing the plan: a price is shown, signed, and then exactly that is charged or nothing changes.
import { createHash } from "node:crypto";
import type { z } from "zod";
import type { paymentContract } from "../../../shared/src/payment.ts";
import type { PrismaModels } from "../../database/ports.ts";
import { AppError } from "../../lib/errors.ts";
import type { Catalogue, PlanOffer, PricedPlan } from "../catalog/catalog.ts";
import { planItemOf } from "../catalog/plan-item.ts";
import { slicesOf } from "../catalog/invoice-credits.ts";
import type { Fulfilment } from "../sync/sync.ts";
import { paidLines } from "../sync/invoice.sync.ts";
import { releasePending, scheduleDowngrade } from "./downgrades.ts";
import { readPreview, type Shown, signPreview } from "./preview-token.ts";
import type { StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import { isRefusal } from "../stripe/errors.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

type SubscriptionRow = NonNullable<Awaited<ReturnType<PrismaModels["subscription"]["findUnique"]>>>;
type Preview = z.output<(typeof paymentContract)["previewPlanChange"]["output"]>;

/** Changing the plan. */
export interface PlanChanges {
  preview(userId: string, planId: string): Promise<Preview>;
  /** Settles the change; the caller reads the state. */
  change(userId: string, planId: string, previewToken: string): Promise<void>;
}

const STALE = "This offer is out of date. Please look at the new price.";

/** Both ends of a change, and where it is made. */
interface Ends {
  readonly to: PlanOffer;
  readonly from: PricedPlan;
  readonly subscription: StripeSubscription;
  /** The plan's item among the subscription's. */
  readonly item: StripeSubscriptionItem;
}

/**
 * `now`: more is paid per interval, or a month becomes a year: the difference is paid at once, credits follow it.
 * `atRenewal`: a cheaper plan of the same interval: what is paid for stays until its period ends.
 * `undo`: the current plan again, while a cheaper one is waiting.
 * Throws CONFLICT when the change is not possible. A year cannot become months: it is cancelled and left to end.
 */
function kindOfChange(
  subscription: StripeSubscription,
  from: PlanOffer,
  to: PlanOffer,
): "now" | "atRenewal" | "undo" {
  if (from.id === to.id && subscription.scheduleId === null)
    throw AppError.of("CONFLICT", "You are on this plan already.");
  if (from.id === to.id) return "undo";
  if (subscription.status !== "active" && subscription.status !== "trialing")
    throw AppError.of("CONFLICT", "Please settle the open invoice first, then change the plan.");
  if (from.interval === to.interval) return to.price > from.price ? "now" : "atRenewal";
  if (to.interval === "year") return "now";
  throw AppError.of(
    "CONFLICT",
    "A yearly plan runs to its end: cancel it, and subscribe to a monthly plan afterwards.",
  );
}

/** One key per offer taken; another price, the first being archived, is another order. */
function keyOf(orderKey: string, priceId: string): string {
  return `change:${createHash("sha256").update(`${orderKey}\n${priceId}`).digest("hex")}`;
}

/** Makes plan changes. */
export function createPlanChanges(
  work: PaymentDeps & { readonly signingSecrets: readonly string[] },
  parts: { catalogue: Catalogue; subscriptions: Subscriptions; fulfilment: Fulfilment },
): PlanChanges {
  const { stripe } = work;
  const { catalogue, subscriptions, fulfilment } = parts;

  /** Both ends of the change, from Stripe's current object. */
  async function ends(row: SubscriptionRow, planId: string): Promise<Ends> {
    const to = await catalogue.plan(planId);
    const subscription = await stripe.getSubscription(row.stripeSubscriptionId);
    const { item, priced: from } = await planItemOf(catalogue, subscription);
    if (from === null) throw AppError.of("CONFLICT", "This subscription is managed elsewhere.");
    return { to, subscription, item, from };
  }

  /** What the change costs. Prorated to `at`, or to now by Stripe's own clock. */
  async function quote({ subscription, item, to }: Ends, at: Date | undefined) {
    const ask = async (priceId: string) => ({
      priceId,
      invoice: await stripe.previewPriceChange({
        customerId: subscription.customerId,
        subscriptionId: subscription.id,
        itemId: item.id,
        priceId,
        prorationDate: at,
      }),
    });
    const { priceId, invoice } = await catalogue.withPlanPrice(to, ask);
    const starts = invoice.lines.map((line) => line.periodStart.getTime());
    const prorationDate = at ?? new Date(starts.length === 0 ? work.now() : Math.min(...starts));
    return { invoice, priceId, prorationDate };
  }

  /** The price of the change, still what was shown. Throws PREVIEW_STALE. */
  async function freshPrice(change: Ends, at: Date, amountShown: number): Promise<string> {
    const { invoice, priceId } = await quote(change, at).catch((error: unknown) => {
      // The period it was shown for is over.
      if (isRefusal(error, "invalid")) throw AppError.of("PREVIEW_STALE", STALE, undefined, error);
      throw error;
    });
    if (invoice.amountDue !== amountShown) throw AppError.of("PREVIEW_STALE", STALE);
    return priceId;
  }

  async function upgrade(change: Ends, row: SubscriptionRow, shown: Shown, orderKey: string) {
    const { subscription, item } = change;
    const prorationDate = new Date(shown.prorationAt * 1000);
    const priceId = await freshPrice(change, prorationDate, shown.amountDue);
    // The schedule would bring the cheaper plan all the same when the period ends.
    const hadSchedule = await releasePending(stripe, subscription);
    const order = { subscriptionId: subscription.id, itemId: item.id, priceId, prorationDate };
    await stripe.changePrice(order, keyOf(orderKey, priceId)).catch(async (error: unknown) => {
      if (!isRefusal(error, "declined")) throw error;
      if (hadSchedule) await restorePending(change, row, orderKey);
      throw AppError.of(
        "CONFLICT",
        "The payment was declined. Nothing has changed.",
        undefined,
        error,
      );
    });
  }

  /** Puts the change that was pending before a declined upgrade back. */
  async function restorePending(
    change: Ends,
    row: SubscriptionRow,
    orderKey: string,
  ): Promise<void> {
    if (row.pendingPlanId === null) return;
    const priceId = await catalogue.planPrice(await catalogue.plan(row.pendingPlanId));
    const subscription = await stripe.getSubscription(change.subscription.id);
    const key = keyOf(`${orderKey}\nagain`, priceId);
    await scheduleDowngrade(stripe, { subscription, item: change.item, priceId, key });
  }

  async function order(change: Ends, row: SubscriptionRow, shown: Shown, orderKey: string) {
    const { subscription, item, from, to } = change;
    switch (kindOfChange(subscription, from.plan, to)) {
      case "now":
        return upgrade(change, row, shown, orderKey);
      case "atRenewal":
        return catalogue.withPlanPrice(to, (priceId) =>
          scheduleDowngrade(stripe, { subscription, item, priceId, key: keyOf(orderKey, priceId) }),
        );
      case "undo":
        await releasePending(stripe, subscription);
    }
  }

  return {
    preview: async (userId, planId) => {
      const row = await subscriptions.liveRow(userId);
      const change = await ends(row, planId);
      const { to, from, subscription, item } = change;
      const kind = kindOfChange(subscription, from.plan, to);
      const shownAt = Math.floor(work.now() / 1000);
      const facts = {
        user: userId,
        subscription: subscription.id,
        fromPrice: item.priceId,
        plan: to.id,
        shownAt,
      };
      if (kind !== "now") {
        const shown = { ...facts, amountDue: 0, currency: to.currency, prorationAt: shownAt };
        const effectiveAt = kind === "undo" ? new Date(work.now()) : item.currentPeriodEnd;
        return {
          amountDue: 0,
          currency: to.currency,
          creditsNow: 0,
          effectiveAt: effectiveAt.toISOString(),
          previewToken: signPreview(shown, work.signingSecrets),
        };
      }
      const { invoice, prorationDate } = await quote(change, undefined);
      // A change of interval begins a new cycle: its months are counted from the change.
      const anchor =
        from.plan.interval === to.interval ? subscription.billingAnchor : prorationDate;
      const [first] = slicesOf(await paidLines(catalogue, invoice), anchor);
      const shown = {
        ...facts,
        amountDue: invoice.amountDue,
        currency: invoice.currency,
        prorationAt: Math.floor(prorationDate.getTime() / 1000),
      };
      return {
        amountDue: invoice.amountDue,
        currency: invoice.currency,
        creditsNow: first?.credits ?? 0,
        effectiveAt: prorationDate.toISOString(),
        previewToken: signPreview(shown, work.signingSecrets),
      };
    },

    change: async (userId, planId, previewToken) => {
      const stale = () => AppError.of("PREVIEW_STALE", STALE);
      const shown = readPreview(previewToken, work.signingSecrets, work.now());
      if (shown === null || shown.user !== userId || shown.plan !== planId) throw stale();
      const row = await subscriptions.liveRow(userId);
      if (row.stripeSubscriptionId !== shown.subscription) throw stale();
      const change = await ends(row, planId);
      const { to, from, item, subscription } = change;
      // Said twice: the first time did it.
      const isDone =
        from.plan.id === to.id &&
        (item.priceId !== shown.fromPrice || subscription.scheduleId === null);
      if (!isDone) {
        if (item.priceId !== shown.fromPrice) throw stale();
        // The row's version: the same offer taken again after it was undone is an order of its own.
        await order(change, row, shown, `${previewToken}\n${row.version}`);
      }
      const settled = await stripe.getSubscription(subscription.id);
      await fulfilment.fulfil(
        settled.latestInvoiceId === null
          ? { kind: "subscription", subscriptionId: settled.id }
          : { kind: "invoice", invoiceId: settled.latestInvoiceId },
      );
    },
  };
}
