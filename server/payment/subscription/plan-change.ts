// A change of plan: from and to which plan, when it takes effect, and what it costs.
import { AppError } from "../../lib/errors.ts";
import { findPlanItem } from "../catalog/plan-item.ts";
import type { PlanOffer, PricedPlan, Subscription } from "../payment.types.ts";
import type { StripeInvoice, StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";

/** Dependencies of plan changes. */
export interface PlanChangeDeps extends SyncDeps {
  /** For previews: the first signs, any of them verifies. */
  readonly signingSecrets: readonly string[];
}

/** The old and new plan of a change, and where it is made. */
export interface PlanChange {
  readonly from: PricedPlan;
  readonly to: PlanOffer;
  readonly subscription: StripeSubscription;
  /** The subscription's item that holds the plan. */
  readonly item: StripeSubscriptionItem;
}

/** Reads a change's two plans, the old one from Stripe's current object. Throws NOT_FOUND (no such plan), CONFLICT. */
export async function readPlanChange(
  { stripe, catalog }: SyncDeps,
  live: Subscription,
  planId: string,
): Promise<PlanChange> {
  const to = await catalog.plan(planId);
  const subscription = await stripe.getSubscription(live.stripeSubscriptionId);
  const { item, priced: from } = await findPlanItem(catalog, subscription);
  if (from === null) throw AppError.of("CONFLICT", "This subscription is managed elsewhere.");
  return { from, to, subscription, item };
}

/**
 * Returns when a change takes effect.
 * `now`: a dearer plan of the same interval, or monthly to yearly. The difference is paid immediately,
 * and the credits follow.
 * `atRenewal`: a plan of the same interval that is not dearer, or yearly to monthly. The paid plan stays
 * until its period ends.
 * `undo`: back to the current plan while another one is pending.
 * Throws CONFLICT when the change is not possible.
 */
export function kindOfChange({
  from: { plan: from },
  to,
  subscription,
}: PlanChange): "now" | "atRenewal" | "undo" {
  if (from.id === to.id && subscription.scheduleId === null)
    throw AppError.of("CONFLICT", "You are on this plan already.");
  if (from.id === to.id) return "undo";
  if (subscription.status !== "active" && subscription.status !== "trialing")
    throw AppError.of("CONFLICT", "Please settle the open invoice first, then change the plan.");
  if (from.interval === to.interval) return to.price > from.price ? "now" : "atRenewal";
  if (to.interval === "year") return "now";
  // The other items would have to become monthly too: Stripe bills all items of a phase at one interval.
  if (subscription.items.length > 1)
    throw AppError.of(
      "CONFLICT",
      "This yearly subscription has more than the plan in it, which cannot become monthly. Cancel it, and subscribe to a monthly plan when it has ended.",
    );
  return "atRenewal";
}

/** Whether the subscription is in a trial. Stripe then previews the first payment, which a change does not make due. */
export function isInTrial({ subscription }: Pick<PlanChange, "subscription">): boolean {
  return subscription.status === "trialing";
}

/** What a change costs now: Stripe's preview invoice for it. */
export interface Quote {
  readonly invoice: StripeInvoice;
  readonly priceId: string;
  readonly prorationDate: Date;
}

/** Asks Stripe what the change costs, prorated to `at`; defaults to now by Stripe's own clock. */
export async function quotePlanChange(
  { stripe, catalog, now }: SyncDeps,
  { subscription, item, to }: PlanChange,
  at?: Date,
): Promise<Quote> {
  const preview = async (priceId: string) => ({
    priceId,
    invoice: await stripe.previewPriceChange({
      customerId: subscription.customerId,
      subscriptionId: subscription.id,
      itemId: item.id,
      priceId,
      prorationDate: at,
    }),
  });
  const { priceId, invoice } = await catalog.withPlanPrice(to, preview);
  return {
    invoice,
    priceId,
    prorationDate: at ?? invoice.prorationDate ?? lastStart(invoice, now),
  };
}

/** The change's own lines begin with it; lines that were waiting for the next invoice began earlier. */
function lastStart({ lines }: StripeInvoice, now: SyncDeps["now"]): Date {
  const starts = lines.map(({ periodStart }) => periodStart.getTime());
  return new Date(starts.length === 0 ? now() : Math.max(...starts));
}
