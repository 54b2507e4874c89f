// The phases of a subscription schedule: the current one, the next one, and what starting one changes.
import { discountsOf } from "../catalog/coupons.ts";
import { newSubscriptionItem } from "../objects/new-billing.ts";
import { newPhase, newPhaseItem } from "../objects/new-schedule.ts";
import type {
  SchedulePhase,
  Subscription,
  SubscriptionItem,
  SubscriptionSchedule,
} from "../objects/types-billing.ts";
import { isTrialing } from "./trials.ts";
import { mergeMetadata } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

/** The schedule that manages a subscription, if any. */
export function scheduleOf(
  world: World,
  subscription: Subscription,
): SubscriptionSchedule | undefined {
  return world.tables.schedules.get(subscription.schedule ?? "");
}

/** When the current phase ends, and the phase after it; `phase` is undefined when the current one is the last. */
export function nextPhaseChange(
  schedule: SubscriptionSchedule,
): { at: number; phase: SchedulePhase | undefined } | undefined {
  const { current_phase: current } = schedule;
  if (current === null) return undefined;
  const at = schedule.phases.findIndex((phase) => phase.start_date === current.start_date);
  return { at: current.end_date, phase: schedule.phases[at + 1] };
}

/** The subscription items a phase calls for. An existing item with the same price keeps its id, as at Stripe. */
export function itemsOfPhase(
  world: World,
  subscription: Subscription,
  phase: SchedulePhase,
): SubscriptionItem[] {
  const free = [...subscription.items.data];
  const [first] = free;
  return phase.items.map((wanted) => {
    const at = free.findIndex((item) => item.price.id === wanted.price);
    const [kept] = at < 0 ? [] : free.splice(at, 1);
    return newSubscriptionItem(kept?.id ?? world.newId("si", 14), {
      subscription: subscription.id,
      price: need(world.tables.prices, "price", wanted.price),
      quantity: wanted.quantity,
      created: kept?.created ?? world.billingNow(),
      start: first?.current_period_start ?? 0,
      end: first?.current_period_end ?? 0,
      metadata: mergeMetadata(kept?.metadata ?? {}, wanted.metadata),
    });
  });
}

/** Marks `phase` as the current one. */
export function markPhase(
  world: World,
  schedule: SubscriptionSchedule,
  phase: SchedulePhase,
): void {
  change(world, schedule, "subscription_schedule.updated", (it) => {
    it.current_phase = { end_date: phase.end_date, start_date: phase.start_date };
  });
}

/** The phase that starts with the renewal at `at`, if any, with the resulting items and billing anchor. */
export function renewalPhase(
  world: World,
  subscription: Subscription,
  at: number,
): { phase: SchedulePhase; items: SubscriptionItem[]; anchor: number } | undefined {
  const schedule = scheduleOf(world, subscription);
  const next = schedule && nextPhaseChange(schedule);
  if (next?.phase === undefined || next.at !== at) return undefined;
  const { phase } = next;
  const items = itemsOfPhase(world, subscription, phase);
  const before = subscription.items.data[0]?.price.recurring;
  const after = items[0]?.price.recurring;
  const anew =
    phase.billing_cycle_anchor === "phase_start" ||
    before?.interval !== after?.interval ||
    before?.interval_count !== after?.interval_count;
  return { phase, items, anchor: anew ? at : subscription.billing_cycle_anchor };
}

/**
 * Applies the phase that starts with the renewal at `at`, if any: the new period is charged at the new price
 * and nothing is prorated. The caller emits the subscription's event.
 */
export function enterPhaseAtRenewal(world: World, subscription: Subscription, at: number): void {
  const schedule = scheduleOf(world, subscription);
  const next = renewalPhase(world, subscription, at);
  if (schedule === undefined || next === undefined) return;
  subscription.items.data = next.items;
  subscription.billing_cycle_anchor = next.anchor;
  takeTerms(world, subscription, next.phase);
  markPhase(world, schedule, next.phase);
}

/** Applies a phase's discounts and metadata. A discount that the phase does not name is removed, as at Stripe. */
export function takeTerms(world: World, subscription: Subscription, phase: SchedulePhase): void {
  subscription.discounts = discountsOf(world, phase.discounts);
  subscription.metadata = mergeMetadata(subscription.metadata, phase.metadata);
}

/** Closes a schedule and detaches its subscription. The caller emits the subscription's event. */
export function closeSchedule(
  world: World,
  subscription: Subscription,
  status: "completed" | "released" | "canceled",
): void {
  const schedule = scheduleOf(world, subscription);
  if (schedule === undefined) return;
  const before = structuredClone(schedule);
  const now = world.billingNow();
  schedule.status = status;
  schedule[`${status}_at`] = now;
  schedule.current_phase = null;
  schedule.subscription = null;
  if (status === "released") schedule.released_subscription = subscription.id;
  subscription.schedule = null;
  world.emit(`subscription_schedule.${status}`, schedule, before);
}

/** Brings the schedule's current phase in line with a change made to the subscription directly. */
export function followSubscription(world: World, subscription: Subscription): void {
  const schedule = scheduleOf(world, subscription);
  const start = schedule?.current_phase?.start_date;
  const at = schedule?.phases.findIndex((phase) => phase.start_date === start) ?? -1;
  const phase = schedule?.phases[at];
  if (schedule === undefined || phase === undefined) return;
  const now = world.billingNow();
  const items = subscription.items.data.map((item) =>
    newPhaseItem(item.price.id, item.quantity, item.metadata),
  );
  change(world, schedule, "subscription_schedule.updated", (it) => {
    const changed = { ...structuredClone(phase), items };
    if (now > phase.start_date) {
      const first = { ...structuredClone(phase), end_date: now };
      it.phases.splice(at, 1, first, { ...changed, start_date: now });
      it.current_phase = { start_date: now, end_date: phase.end_date };
    } else it.phases.splice(at, 1, changed);
  });
}

/** The single phase of a schedule created from a subscription: its current items, period and discounts. */
export function phaseOf(subscription: Subscription): SchedulePhase {
  const [first] = subscription.items.data;
  return newPhase({
    currency: subscription.currency,
    items: subscription.items.data.map((item) =>
      newPhaseItem(item.price.id, item.quantity, item.metadata),
    ),
    start: first?.current_period_start ?? 0,
    end: first?.current_period_end ?? 0,
    discounts: subscription.discounts.map((discount) => ({
      coupon: null,
      discount,
      promotion_code: null,
    })),
    trialEnd: isTrialing(subscription) ? subscription.trial_end : null,
  });
}
