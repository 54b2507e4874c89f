// Owns changing the plan: a price is shown, signed, and then exactly that is charged or nothing changes.
import { createHash } from "node:crypto";
import type { z } from "zod";
import type { paymentContract } from "../../../shared/src/payment.ts";
import type { PrismaModels } from "../../database/database.ts";
import { AppError } from "../../lib/errors.ts";
import type { Catalogue, PlanOffer, PricedPlan } from "../catalog/catalog.ts";
import { slicesOf } from "../catalog/invoice-credits.ts";
import type { Fulfilment } from "../sync/sync.ts";
import { paidLines } from "../sync/invoice.sync.ts";
import { readPreview, signPreview } from "./preview-token.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import { isRefusal } from "../stripe/errors.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { PaymentWork } from "../sync/sync-transaction.ts";

type SubscriptionRow = NonNullable<Awaited<ReturnType<PrismaModels["subscription"]["findUnique"]>>>;
type Preview = z.output<(typeof paymentContract)["previewPlanChange"]["output"]>;

/** Changing the plan. */
export interface PlanChanges {
  preview(userId: string, planId: string): Promise<Preview>;
  /** Settles the change; the caller reads the state. */
  change(userId: string, planId: string, previewToken: string): Promise<void>;
}

const STALE = "This offer is out of date. Please look at the new price.";

/**
 * `now`: more is paid per interval, or a month becomes a year: the difference is paid at once, credits follow it.
 * `atRenewal`: a cheaper plan of the same interval: the period that is paid for stays as it is.
 * `never`: a year cannot become months half-way; it is cancelled and left to end.
 */
function kindOfChange(from: PlanOffer, to: PlanOffer): "now" | "atRenewal" | "never" {
  if (from.interval === to.interval) return to.price > from.price ? "now" : "atRenewal";
  return to.interval === "year" ? "now" : "never";
}

/** One key per preview; another price, the first being archived, is another order. */
function changeKey(previewToken: string, priceId: string): string {
  return `change:${createHash("sha256").update(`${previewToken}\n${priceId}`).digest("hex")}`;
}

/** Makes plan changes. */
export function createPlanChanges(
  work: PaymentWork & { readonly signingSecrets: readonly string[] },
  parts: { catalogue: Catalogue; subscriptions: Subscriptions; fulfilment: Fulfilment },
): PlanChanges {
  const { stripe } = work;
  const { catalogue, subscriptions, fulfilment } = parts;

  /** Both ends of the change, from Stripe's current object. */
  async function ends(row: SubscriptionRow, planId: string) {
    const to = await catalogue.plan(planId);
    const subscription = await stripe.getSubscription(row.stripeSubscriptionId);
    const from: PricedPlan | null = await catalogue.planOfPrice(subscription.priceId);
    if (from === null) throw AppError.of("CONFLICT", "This subscription is managed elsewhere.");
    return { to, subscription, from };
  }

  function refuseWhenNotPossible(subscription: StripeSubscription, from: PlanOffer, to: PlanOffer) {
    if (from.id === to.id) throw AppError.of("CONFLICT", "You are on this plan already.");
    if (subscription.status !== "active" && subscription.status !== "trialing")
      throw AppError.of("CONFLICT", "Please settle the open invoice first, then change the plan.");
    const kind = kindOfChange(from, to);
    if (kind === "never")
      throw AppError.of(
        "CONFLICT",
        "A yearly plan runs to its end: cancel it, and subscribe to a monthly plan afterwards.",
      );
    return kind;
  }

  /** What the change costs. Prorated to `at`, or to now by Stripe's own clock. */
  async function quote(subscription: StripeSubscription, to: PlanOffer, at: Date | undefined) {
    const ask = async (priceId: string) => ({
      priceId,
      invoice: await stripe.previewPriceChange({
        customerId: subscription.customerId,
        subscriptionId: subscription.id,
        itemId: subscription.itemId,
        priceId,
        prorationDate: at,
      }),
    });
    const { priceId, invoice } = await catalogue.withPlanPrice(to, ask);
    const starts = invoice.lines.map((line) => line.periodStart.getTime());
    const prorationDate = at ?? new Date(starts.length === 0 ? work.now() : Math.min(...starts));
    return { invoice, priceId, prorationDate };
  }

  return {
    preview: async (userId, planId) => {
      const row = await subscriptions.liveRow(userId);
      const { to, from, subscription } = await ends(row, planId);
      const kind = refuseWhenNotPossible(subscription, from.plan, to);
      const shownAt = Math.floor(work.now() / 1000);
      const facts = {
        user: userId,
        subscription: subscription.id,
        fromPrice: subscription.priceId,
        plan: to.id,
        shownAt,
      };
      if (kind === "atRenewal") {
        const shown = { ...facts, amountDue: 0, currency: to.currency, prorationAt: shownAt };
        return {
          amountDue: 0,
          currency: to.currency,
          creditsNow: 0,
          effectiveAt: subscription.currentPeriodEnd.toISOString(),
          previewToken: signPreview(shown, work.signingSecrets),
        };
      }
      const { invoice, prorationDate } = await quote(subscription, to, undefined);
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
      const { to, from, subscription } = await ends(row, planId);
      // Said twice: the first time did it.
      const isDone = from.plan.id === to.id && subscription.priceId !== shown.fromPrice;
      if (!isDone) {
        if (subscription.priceId !== shown.fromPrice) throw stale();
        const kind = refuseWhenNotPossible(subscription, from.plan, to);
        const prorationDate = new Date(shown.prorationAt * 1000);
        const prorate = kind === "now";
        const order = (priceId: string) =>
          stripe.changePrice(
            {
              subscriptionId: subscription.id,
              itemId: subscription.itemId,
              priceId,
              prorate,
              prorationDate,
            },
            changeKey(previewToken, priceId),
          );
        const ordered = prorate
          ? freshPrice(subscription, to, prorationDate, shown.amountDue).then(order)
          : catalogue.withPlanPrice(to, order);
        await ordered.catch((error: unknown) => {
          if (!isRefusal(error, "declined")) throw error;
          throw AppError.of(
            "CONFLICT",
            "The payment was declined. Nothing has changed.",
            undefined,
            error,
          );
        });
      }
      const settled = await stripe.getSubscription(subscription.id);
      await fulfilment.fulfil(
        settled.latestInvoiceId === null
          ? { kind: "subscription", subscriptionId: settled.id }
          : { kind: "invoice", invoiceId: settled.latestInvoiceId },
      );
    },
  };

  async function freshPrice(
    subscription: StripeSubscription,
    to: PlanOffer,
    at: Date,
    amountShown: number,
  ): Promise<string> {
    const { invoice, priceId } = await quote(subscription, to, at).catch((error: unknown) => {
      // The period it was shown for is over.
      if (isRefusal(error, "invalid")) throw AppError.of("PREVIEW_STALE", STALE, undefined, error);
      throw error;
    });
    if (invoice.amountDue !== amountShown) throw AppError.of("PREVIEW_STALE", STALE);
    return priceId;
  }
}
