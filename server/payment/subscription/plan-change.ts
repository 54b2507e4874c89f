// What a change of plan is: its two ends, when it takes effect, and what it costs.
import { AppError } from "../../lib/errors.ts";
import { findPlanItem } from "../catalog/plan-item.ts";
import type { PlanOffer, PricedPlan, Subscription } from "../payment.types.ts";
import type { StripeInvoice, StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";

/** Dependencies of plan changes. */
export interface PlanChangeDeps extends SyncDeps {
  /** Sign previews; the first signs, all verify. */
  readonly signingSecrets: readonly string[];
}

/** Both ends of a change, and where it is made. */
export interface PlanChange {
  readonly from: PricedPlan;
  readonly to: PlanOffer;
  readonly subscription: StripeSubscription;
  /** The plan's item among the subscription's. */
  readonly item: StripeSubscriptionItem;
}

/** Reads both ends of a change, from Stripe's current object. Throws NOT_FOUND (no such plan), CONFLICT. */
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
 * `now`: more is paid per interval, or a month becomes a year: the difference is paid at once, credits follow it.
 * `atRenewal`: a cheaper plan of the same interval, or a year becomes months: what is paid for stays until its period ends.
 * `undo`: the current plan again, while another one is waiting.
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
  // The other items would have to become monthly with it: Stripe bills all of one phase by one interval.
  if (subscription.items.length > 1)
    throw AppError.of(
      "CONFLICT",
      "This yearly subscription has more than the plan in it, which cannot become monthly. Cancel it, and subscribe to a monthly plan when it has ended.",
    );
  return "atRenewal";
}

/** Whether nothing has to be paid yet: Stripe then previews the first payment, which a change does not make fall due. */
export function isInTrial({ subscription }: Pick<PlanChange, "subscription">): boolean {
  return subscription.status === "trialing";
}

/** What a change costs now: Stripe's invoice for it. */
export interface Quote {
  readonly invoice: StripeInvoice;
  readonly priceId: string;
  readonly prorationDate: Date;
}

/** Asks Stripe what the change costs, prorated to `at`, or to now by Stripe's own clock. */
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

/** The change's own lines begin with it; those that waited for the next invoice began before. */
function lastStart({ lines }: StripeInvoice, now: SyncDeps["now"]): Date {
  const starts = lines.map(({ periodStart }) => periodStart.getTime());
  return new Date(starts.length === 0 ? now() : Math.max(...starts));
}
