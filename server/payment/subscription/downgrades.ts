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
  readonly subscription: StripeSubscription;
  /** The plan's item among the subscription's. */
  readonly item: StripeSubscriptionItem;
  readonly priceId: string;
  /** Makes the order one of a kind: the same key is the same order. */
  readonly key: string;
}

/** The phase that is running: what comes later is laid out again from its end. */
function runningPhaseStart(
  schedule: StripeSchedule,
  { currentPeriodStart }: StripeSubscriptionItem,
) {
  const running = schedule.phases.findLast(({ startsAt }) => startsAt <= currentPeriodStart);
  return (running ?? schedule.phases[0])?.startsAt ?? currentPeriodStart;
}

/** Puts the change in place of whatever was pending. Throws CONFLICT when the subscription is to end. */
export async function scheduleDowngrade(stripe: StripePort, order: Downgrade): Promise<void> {
  const { subscription, item, priceId, key } = order;
  if (subscription.cancelAtPeriodEnd || subscription.cancelAt !== null)
    throw AppError.of("CONFLICT", "Your plan is about to end. Resume it first, then change it.");
  const schedule =
    subscription.scheduleId === null
      ? await stripe.createSchedule(subscription.id, `${key}:schedule`)
      : await stripe.getSchedule(subscription.scheduleId);
  await stripe.setSchedule(
    {
      scheduleId: schedule.id,
      startsAt: runningPhaseStart(schedule, item),
      changeAt: item.currentPeriodEnd,
      isTrial: subscription.status === "trialing",
      now: subscription.items,
      after: subscription.items.map((it) => (it.id === item.id ? { ...it, priceId } : it)),
    },
    `${key}:phases`,
  );
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
