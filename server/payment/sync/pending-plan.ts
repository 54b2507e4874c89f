// Owns what a subscription schedule will make of a plan: the change that waits for the paid period to end.
import type { Catalogue } from "../catalog/catalog.ts";
import { type PlanItem, pricedAmong } from "../catalog/plan-item.ts";
import { unlessMissing } from "../stripe/errors.ts";
import type { StripePort, StripeSubscription } from "../stripe/port.ts";

/** The pending change as our row keeps it; all null when there is none. */
export interface PendingPlan {
  readonly stripeScheduleId: string | null;
  readonly pendingPlanId: string | null;
  readonly pendingPlanAt: Date | null;
}

const NONE: PendingPlan = { stripeScheduleId: null, pendingPlanId: null, pendingPlanAt: null };

/** Reads the subscription's schedule at Stripe, if it has one. */
export async function pendingPlanOf(
  deps: { stripe: StripePort; catalogue: Catalogue },
  subscription: StripeSubscription,
  current: PlanItem,
): Promise<PendingPlan> {
  if (subscription.scheduleId === null) return NONE;
  const schedule = await unlessMissing(deps.stripe.getSchedule(subscription.scheduleId), null);
  if (schedule === null || !schedule.isRunning) return NONE;
  const stripeScheduleId = schedule.id;
  for (const { startsAt, items } of schedule.phases) {
    // Phases up to the running period are what the subscription is already.
    if (startsAt <= current.item.currentPeriodStart) continue;
    const found = await pricedAmong(deps.catalogue, items);
    if (found === null || found.priced.plan.id === current.priced?.plan.id) continue;
    return { stripeScheduleId, pendingPlanId: found.priced.plan.id, pendingPlanAt: startsAt };
  }
  return { ...NONE, stripeScheduleId };
}
