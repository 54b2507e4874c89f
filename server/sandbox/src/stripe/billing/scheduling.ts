// What a schedule does to its subscription outside of a renewal: a phase in mid-period, a changed one, the end.
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

/** Gives a running subscription the items of `phase` now, with the prorations asked for. */
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
    // As at Stripe, a phase that names no trial ends one that is running, and the first payment falls due.
    trialEnd: isTrialing(subscription) && phase.trial_end === null ? world.billingNow() : undefined,
  });
  change(world, subscription, "customer.subscription.updated", (it) => {
    if (plan.changed) applyChange(world, it, plan, "allow_incomplete");
    takeTerms(world, it, phase);
  });
}

/** The next phase begins in mid-period. */
export function changePhase(
  world: World,
  subscription: Subscription,
  schedule: SubscriptionSchedule,
  phase: SchedulePhase,
): void {
  markPhase(world, schedule, phase);
  applyPhase(world, subscription, phase, phase.proration_behavior);
}

/** The last phase is over: the subscription goes on by itself, or ends with it. */
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
