// A cheaper plan that waits: a Stripe subscription schedule changes the price when the paid period ends.
import { AppError } from "../../lib/errors.ts";
import type { StripePort, StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import type { StripeSchedule } from "../stripe/schedule.ts";

/** What follows the paid period. */
export interface Downgrade {
  readonly subscriptionId: string;
  /** The plan's item as it was when this was decided. */
  readonly item: StripeSubscriptionItem;
  readonly priceId: string;
  /** Makes the order one of a kind: the same key is the same order. */
  readonly key: string;
}

/** The phase that is running: what comes later is laid out again from its end. */
function runningPhase({ phases, currentStart }: StripeSchedule) {
  const running = phases.find(({ startsAt }) => startsAt.getTime() === currentStart?.getTime());
  return running ?? phases[0];
}

/** What runs now as its schedule lays it out once more; discounts are the subscription's own. */
function layOutNow(schedule: StripeSchedule, subscription: StripeSubscription) {
  const { items, discountIds, status } = subscription;
  const running = runningPhase(schedule);
  const termsOf = ({ priceId }: StripeSubscriptionItem) =>
    running?.items.find((it) => it.priceId === priceId)?.terms ?? {};
  return {
    scheduleId: schedule.id,
    startsAt: running?.startsAt ?? items[0].currentPeriodStart,
    isTrial: status === "trialing",
    discountIds,
    terms: running?.terms ?? {},
    now: items.map((it) => ({ ...it, terms: termsOf(it) })),
  };
}

/** Whether it ends by itself, with its period or at a date. */
function isToEnd({ cancelAtPeriodEnd, cancelAt }: StripeSubscription): boolean {
  return cancelAtPeriodEnd || cancelAt !== null;
}

/**
 * Puts the change in place of whatever was pending. Returns false, and changes nothing, when the plan is not what it was
 * any more: the plan of then would take the place of one that was paid since. Throws CONFLICT when the subscription is to end.
 */
export async function scheduleDowngrade(stripe: StripePort, order: Downgrade): Promise<boolean> {
  const { subscriptionId, priceId, key } = order;
  const isSame = (it: { readonly priceId: string }) => it.priceId === order.item.priceId;
  const subscription = await stripe.getSubscription(subscriptionId);
  if (isToEnd(subscription))
    throw AppError.of("CONFLICT", "Your plan is about to end. Resume it first, then change it.");
  const item = subscription.items.find((it) => it.id === order.item.id && isSame(it));
  if (item === undefined) return false;
  const isNew = subscription.scheduleId === null;
  const schedule = isNew
    ? await stripe.createSchedule(subscription.id, `${key}:schedule`)
    : await stripe.getSchedule(subscription.scheduleId);
  const running = runningPhase(schedule);
  // It is of this moment, which is later than what was just read.
  if (running !== undefined && !running.items.some(isSame)) {
    if (isNew) await releasePending(stripe, { scheduleId: schedule.id });
    return false;
  }
  const layout = layOutNow(schedule, subscription);
  const after = layout.now.map((it) => (it.id === item.id ? { ...it, priceId } : it));
  await stripe.setSchedule({ ...layout, changeAt: item.currentPeriodEnd, after }, `${key}:phases`);
  return true;
}

/**
 * Makes the subscription end with its period in place of whatever was pending, in one write: should what follows it
 * fail, it still does the one or the other. Stripe takes no other end while a schedule decides, so the schedule lets go then.
 */
export async function endPending(
  stripe: StripePort,
  { id, scheduleId }: Pick<StripeSubscription, "id" | "scheduleId">,
  key: string,
): Promise<void> {
  if (scheduleId === null) return;
  const schedule = await stripe.getSchedule(scheduleId);
  if (!schedule.isRunning) return;
  // After the schedule: the plan of before would take the place of one that was paid between the two looks. What is paid
  // from here on begins another phase, and Stripe refuses to have the former one laid out.
  const subscription = await stripe.getSubscription(id);
  await stripe.setSchedule(
    {
      ...layOutNow(schedule, subscription),
      changeAt: subscription.items[0].currentPeriodEnd,
      after: null,
    },
    `${key}:phases`,
  );
  await stripe.releaseSchedule(scheduleId, `release:${scheduleId}:ending`, true);
}

/** Lets a pending change go: the subscription stays as it is. */
export async function releasePending(
  stripe: StripePort,
  { scheduleId }: Pick<StripeSubscription, "scheduleId">,
): Promise<void> {
  if (scheduleId === null) return;
  await stripe.releaseSchedule(scheduleId, `release:${scheduleId}`);
}
