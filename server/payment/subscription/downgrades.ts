// Pending downgrades: a Stripe subscription schedule changes the price when the paid period ends.
import { AppError } from "../../lib/errors.ts";
import type { StripePort, StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import type { StripeSchedule } from "../stripe/schedule.ts";

/** What follows the paid period. */
export interface Downgrade {
  readonly subscriptionId: string;
  /** The plan's item at the time of the decision. */
  readonly item: StripeSubscriptionItem;
  readonly priceId: string;
  /** The order's idempotency key: the same key is the same order. */
  readonly key: string;
}

/** The current phase; everything after it is laid out anew from its end. */
function runningPhase({ phases, currentStart }: StripeSchedule) {
  const running = phases.find(({ startsAt }) => startsAt.getTime() === currentStart?.getTime());
  return running ?? phases[0];
}

/** The current phase, restated for an update of its schedule. Discounts are taken from the subscription itself. */
function restateCurrentPhase(schedule: StripeSchedule, subscription: StripeSubscription) {
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

/** Whether it is set to end, with its period or on a date. */
function isSetToEnd({ cancelAtPeriodEnd, cancelAt }: StripeSubscription): boolean {
  return cancelAtPeriodEnd || cancelAt !== null;
}

/**
 * Schedules the change, replacing any pending one. Returns false, and changes nothing, when the plan is no
 * longer the one in `order`: the schedule would overwrite a plan paid for since. Throws CONFLICT when the
 * subscription is set to end.
 */
export async function scheduleDowngrade(stripe: StripePort, order: Downgrade): Promise<boolean> {
  const { subscriptionId, priceId, key } = order;
  const isSame = (it: { readonly priceId: string }) => it.priceId === order.item.priceId;
  const subscription = await stripe.getSubscription(subscriptionId);
  if (isSetToEnd(subscription))
    throw AppError.of("CONFLICT", "Your plan is about to end. Resume it first, then change it.");
  const item = subscription.items.find((it) => it.id === order.item.id && isSame(it));
  if (item === undefined) return false;
  const isNew = subscription.scheduleId === null;
  const schedule = isNew
    ? await stripe.createSchedule(subscription.id, `${key}:schedule`)
    : await stripe.getSchedule(subscription.scheduleId);
  const running = runningPhase(schedule);
  // The schedule was read after the subscription, so it reveals a change in between.
  if (running !== undefined && !running.items.some(isSame)) {
    if (isNew) await releasePending(stripe, { scheduleId: schedule.id });
    return false;
  }
  const layout = restateCurrentPhase(schedule, subscription);
  const after = layout.now.map((it) => (it.id === item.id ? { ...it, priceId } : it));
  await stripe.setSchedule({ ...layout, changeAt: item.currentPeriodEnd, after }, `${key}:phases`);
  return true;
}

/**
 * Replaces any pending change with an end at the period's end, in one write: if a later step fails, the
 * subscription still does one or the other. Stripe accepts no other end while a schedule is in control, so the
 * schedule is then released.
 */
export async function replacePendingWithEnd(
  stripe: StripePort,
  { id, scheduleId }: Pick<StripeSubscription, "id" | "scheduleId">,
  key: string,
): Promise<void> {
  if (scheduleId === null) return;
  const schedule = await stripe.getSchedule(scheduleId);
  if (!schedule.isRunning) return;
  // Read after the schedule: otherwise the old plan could replace one paid for between the two reads. A payment from
  // here on starts a new phase, and Stripe then refuses to have the former one laid out.
  const subscription = await stripe.getSubscription(id);
  await stripe.setSchedule(
    {
      ...restateCurrentPhase(schedule, subscription),
      changeAt: subscription.items[0].currentPeriodEnd,
      after: null,
    },
    `${key}:phases`,
  );
  await stripe.releaseSchedule(scheduleId, `release:${scheduleId}:ending`, true);
}

/** Drops a pending change: the subscription stays as it is. */
export async function releasePending(
  stripe: StripePort,
  { scheduleId }: Pick<StripeSubscription, "scheduleId">,
): Promise<void> {
  if (scheduleId === null) return;
  await stripe.releaseSchedule(scheduleId, `release:${scheduleId}`);
}
