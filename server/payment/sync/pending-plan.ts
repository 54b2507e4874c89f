// The pending plan: what a subscription schedule will change once the paid period ends.
import { type PlanItem, findPricedItem } from "../catalog/plan-item.ts";
import type { Subscription } from "../payment.types.ts";
import { unlessMissing } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";

/** The pending change as our row stores it; all null when there is none. */
type PendingPlan = Pick<Subscription, "stripeScheduleId" | "pendingPlanId" | "pendingPlanAt">;

const NONE: PendingPlan = { stripeScheduleId: null, pendingPlanId: null, pendingPlanAt: null };

/** Reads the subscription's schedule at Stripe, if it has one. */
export async function readPendingPlan(
  { stripe, catalog }: Pick<SyncDeps, "stripe" | "catalog">,
  subscription: StripeSubscription,
  current: PlanItem,
): Promise<PendingPlan> {
  if (subscription.scheduleId === null) return NONE;
  const schedule = await unlessMissing(stripe.getSchedule(subscription.scheduleId), null);
  if (schedule === null || !schedule.isRunning) return NONE;
  const stripeScheduleId = schedule.id;
  for (const { startsAt, items } of schedule.phases) {
    // Phases up to the current period are already in effect.
    if (startsAt <= current.item.currentPeriodStart) continue;
    const found = await findPricedItem(catalog, items);
    if (found === null || found.priced.plan.id === current.priced?.plan.id) continue;
    return { stripeScheduleId, pendingPlanId: found.priced.plan.id, pendingPlanAt: startsAt };
  }
  return { ...NONE, stripeScheduleId };
}
