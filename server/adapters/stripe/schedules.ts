// Subscription schedules: a plan that changes when its period ends.
import { isRefusal } from "../../payment/stripe/errors.ts";
import type { NewPhaseItem } from "../../payment/stripe/schedule.ts";
import { type StripeCall, unixSeconds } from "./client.ts";
import { readSchedule } from "./parse-schedule.ts";
import { getSubscription } from "./subscriptions.ts";

type Prices = readonly { priceId: string; quantity: number }[];

const toPrices = (items: Prices) =>
  items.map(({ priceId, quantity }) => ({ price: priceId, quantity }));
const isSame = (a: Prices | undefined, b: Prices): boolean =>
  JSON.stringify(a && toPrices(a)) === JSON.stringify(toPrices(b));

/** By id, so that a discount continues as it is; given by its coupon, it would start over. */
const toDiscounts = (ids: readonly string[]) =>
  ids.length === 0 ? {} : { discounts: ids.map((discount) => ({ discount })) };

const toItems = (items: readonly NewPhaseItem[]) =>
  items.map(({ priceId: price, quantity, discountIds, terms }) => ({
    ...terms,
    ...toDiscounts(discountIds),
    price,
    quantity,
  }));

export const getSchedule: StripeCall<"getSchedule"> = ({ sdk, call }, scheduleId) =>
  call(
    "subscriptionSchedules.retrieve",
    (options) => sdk.subscriptionSchedules.retrieve(scheduleId, {}, options),
    readSchedule,
  );

export const createSchedule: StripeCall<"createSchedule"> = (client, subscriptionId, key) =>
  client.write({
    name: "subscriptionSchedules.create",
    key,
    run: (options) =>
      client.sdk.subscriptionSchedules.create({ from_subscription: subscriptionId }, options),
    read: readSchedule,
    find: async () => {
      const { scheduleId } = await getSubscription(client, subscriptionId);
      return scheduleId === null ? null : getSchedule(client, scheduleId);
    },
  });

export const setSchedule: StripeCall<"setSchedule"> = (client, input, key) => {
  const { now, after } = input;
  // The new phases replace the old ones: whatever is not repeated is lost, discounts included.
  const common = {
    ...input.terms,
    ...toDiscounts(input.discountIds),
    proration_behavior: "none" as const,
  };
  return client.write({
    name: "subscriptionSchedules.update",
    key,
    run: (options) =>
      client.sdk.subscriptionSchedules.update(
        input.scheduleId,
        {
          end_behavior: after === null ? "cancel" : "release",
          proration_behavior: "none",
          phases: [
            {
              ...common,
              items: toItems(now),
              start_date: unixSeconds(input.startsAt),
              end_date: unixSeconds(input.changeAt),
              ...(input.isTrial ? { trial: true } : {}),
            },
            // Without an end it lasts one billing period, then the schedule releases the subscription.
            ...(after === null ? [] : [{ ...common, items: toItems(after) }]),
          ],
        },
        options,
      ),
    read: readSchedule,
    find: async () => {
      const current = await getSchedule(client, input.scheduleId);
      const isDone =
        current.endsSubscription === (after === null) &&
        isSame(current.phases.at(-1)?.items, after ?? now);
      return isDone ? current : null;
    },
  });
};

export const releaseSchedule: StripeCall<"releaseSchedule"> = async (
  client,
  scheduleId,
  key,
  keepEnd = false,
) => {
  const params = keepEnd ? { preserve_cancel_date: true } : {};
  const findReleased = async () => {
    const current = await getSchedule(client, scheduleId);
    return current.isRunning ? null : current;
  };
  try {
    return await client.write({
      name: "subscriptionSchedules.release",
      key,
      run: (options) => client.sdk.subscriptionSchedules.release(scheduleId, params, options),
      read: readSchedule,
      find: findReleased,
    });
  } catch (error) {
    // Refused because it is already over, which is what was wanted.
    if (!isRefusal(error, "invalid")) throw error;
    const released = await findReleased();
    if (released === null) throw error;
    return released;
  }
};
