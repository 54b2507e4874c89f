// Owns the adapter's part about subscription schedules: a plan that changes when its period ends.
import type Stripe from "stripe";
import type { StripePort, StripeSchedule } from "../../payment/stripe/port.ts";
import { isRefusal } from "../../payment/stripe/errors.ts";
import type { Asking } from "./caller.ts";
import { readSchedule, readSubscription } from "./parse.ts";

type Schedules = Pick<
  StripePort,
  "getSchedule" | "createSchedule" | "setSchedule" | "releaseSchedule"
>;
type Items = readonly { priceId: string; quantity: number }[];

const seconds = (moment: Date): number => Math.floor(moment.getTime() / 1000);
const itemsOf = (items: Items) =>
  items.map(({ priceId, quantity }) => ({ price: priceId, quantity }));
const isSame = (a: Items | undefined, b: Items): boolean =>
  JSON.stringify(a && itemsOf(a)) === JSON.stringify(itemsOf(b));

/** Schedules over the SDK. */
export function createSchedules(stripe: Stripe, { call, write }: Asking): Schedules {
  const getSchedule = (scheduleId: string): Promise<StripeSchedule> =>
    call(
      "subscriptionSchedules.retrieve",
      (options) => stripe.subscriptionSchedules.retrieve(scheduleId, {}, options),
      readSchedule,
    );

  /** The schedule a subscription is under now. */
  async function scheduleOf(subscriptionId: string): Promise<StripeSchedule | null> {
    const { scheduleId } = await call(
      "subscriptions.retrieve",
      (options) => stripe.subscriptions.retrieve(subscriptionId, {}, options),
      readSubscription,
    );
    return scheduleId === null ? null : getSchedule(scheduleId);
  }

  return {
    getSchedule,
    createSchedule: (subscriptionId, key) =>
      write({
        name: "subscriptionSchedules.create",
        key,
        run: (options) =>
          stripe.subscriptionSchedules.create({ from_subscription: subscriptionId }, options),
        read: readSchedule,
        find: () => scheduleOf(subscriptionId),
      }),
    setSchedule: (input, key) =>
      write({
        name: "subscriptionSchedules.update",
        key,
        run: (options) =>
          stripe.subscriptionSchedules.update(
            input.scheduleId,
            {
              end_behavior: "release",
              proration_behavior: "none",
              phases: [
                {
                  items: itemsOf(input.now),
                  start_date: seconds(input.startsAt),
                  end_date: seconds(input.changeAt),
                  proration_behavior: "none",
                },
                // Without an end it lasts one billing period; then the schedule lets go.
                { items: itemsOf(input.after), proration_behavior: "none" },
              ],
            },
            options,
          ),
        read: readSchedule,
        find: async () => {
          const now = await getSchedule(input.scheduleId);
          return isSame(now.phases.at(-1)?.items, input.after) ? now : null;
        },
      }),
    releaseSchedule: async (scheduleId, key) => {
      const find = async () => {
        const now = await getSchedule(scheduleId);
        return now.isRunning ? null : now;
      };
      try {
        return await write({
          name: "subscriptionSchedules.release",
          key,
          run: (options) => stripe.subscriptionSchedules.release(scheduleId, {}, options),
          read: readSchedule,
          find,
        });
      } catch (error) {
        // Refused because it is over already: that is what was wanted.
        if (!isRefusal(error, "invalid")) throw error;
        const now = await find();
        if (now === null) throw error;
        return now;
      }
    },
  };
}
