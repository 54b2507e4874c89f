// What a schedule does to its subscription outside renewals: a phase that starts mid-period, an edited phase, the end.
import { closeSchedule, itemsOfPhase, markPhase, takeTerms } from "./phases.ts";
import { endSubscription } from "./subscribing.ts";
import type {
  SchedulePhase,
  Subscription,
  SubscriptionSchedule,
} from "../objects/types-billing.ts";
import { isTrialing } from "./trials.ts";
import { applyChange, planChange, type ProrationBehavior } from "./updating.ts";
import { change, type World } from "../state/world.ts";

/** Switches a running subscription to the items of `phase` now, prorated according to `behavior`. */
export function applyPhase(
  world: World,
  subscription: Subscription,
  phase: SchedulePhase,
  behavior: ProrationBehavior,
): void {
  const items = itemsOfPhase(world, subscription, phase);
  const gone = subscription.items.data.filter((item) => !items.some((it) => it.id === item.id));
  const known = new Set(subscription.items.data.map((item) => item.id));
  const plan = planChange(world, subscription, {
    wishes: [
      ...gone.map((item) => ({
        id: item.id,
        price: undefined,
        quantity: undefined,
        deleted: true,
        metadata: undefined,
      })),
      ...items.map((item) => ({
        id: known.has(item.id) ? item.id : undefined,
        price: item.price.id,
        quantity: item.quantity,
        deleted: false,
        metadata: item.metadata,
        settled: true,
      })),
    ],
    behavior,
    prorationDate: undefined,
    resetAnchor:
      phase.billing_cycle_anchor === "phase_start" && phase.start_date === world.billingNow(),
    // As at Stripe, a phase without a trial ends a running one, and the first payment falls due.
    trialEnd: isTrialing(subscription) && phase.trial_end === null ? world.billingNow() : undefined,
  });
  change(world, subscription, "customer.subscription.updated", (it) => {
    if (plan.changed) applyChange(world, it, plan, "allow_incomplete");
    takeTerms(world, it, phase);
  });
}

/** Starts the next phase mid-period. */
export function changePhase(
  world: World,
  subscription: Subscription,
  schedule: SubscriptionSchedule,
  phase: SchedulePhase,
): void {
  markPhase(world, schedule, phase);
  applyPhase(world, subscription, phase, phase.proration_behavior);
}

/** Ends a schedule after its last phase. The subscription continues without it, or ends too (`end_behavior`). */
export function finishSchedule(
  world: World,
  subscription: Subscription,
  schedule: SubscriptionSchedule,
): void {
  if (schedule.end_behavior === "cancel") {
    endSubscription(world, subscription, "schedule_completed");
    return;
  }
  change(world, subscription, "customer.subscription.updated", (it) =>
    closeSchedule(world, it, "released"),
  );
}
