// A cheaper plan that waits: a Stripe subscription schedule changes the price when the paid period ends.
import { AppError } from "../../lib/errors.ts";
import type {
  StripePort,
  StripeSchedule,
  StripeSubscription,
  StripeSubscriptionItem,
} from "../stripe/port.ts";

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
function runningPhase(schedule: StripeSchedule, { currentPeriodStart }: StripeSubscriptionItem) {
  const running = schedule.phases.findLast(({ startsAt }) => startsAt <= currentPeriodStart);
  return running ?? schedule.phases[0];
}

/** Whether it ends by itself, with its period or at a date. */
export function isToEnd({ cancelAtPeriodEnd, cancelAt }: StripeSubscription): boolean {
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
  const running = runningPhase(schedule, item);
  // A new one is made of the plan of that moment, which is later than what was just read.
  if (isNew && running !== undefined && !running.items.some(isSame)) {
    await releasePending(stripe, { scheduleId: schedule.id });
    return false;
  }
  await stripe.setSchedule(
    {
      scheduleId: schedule.id,
      startsAt: running?.startsAt ?? item.currentPeriodStart,
      changeAt: item.currentPeriodEnd,
      isTrial: subscription.status === "trialing",
      now: subscription.items,
      after: subscription.items.map((it) => (it.id === item.id ? { ...it, priceId } : it)),
    },
    `${key}:phases`,
  );
  return true;
}

/** Lets a pending change go: the subscription stays as it is. Returns whether there was a schedule. */
export async function releasePending(
  stripe: StripePort,
  { scheduleId }: Pick<StripeSubscription, "scheduleId">,
): Promise<boolean> {
  if (scheduleId === null) return false;
  await stripe.releaseSchedule(scheduleId, `release:${scheduleId}`);
  return true;
}
