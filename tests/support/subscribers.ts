// Subscribers for tests: the seeded plans by name, and the steps that every subscription goes through.
import type { Shop } from "./shop.ts";
import { use } from "./use.ts";

/** The subscribers of the current suite's shop. */
export const useSubscribers = (world: Shop) => use(() => subscribersIn(world));

/** What tests do with subscriptions in one shop. */
export async function subscribersIn(world: Shop) {
  const { plans } = await world.payment.plans();

  const plan = (tier: string, interval: "month" | "year") => {
    const found = plans.find((one) => one.tier === tier && one.interval === interval);
    if (found === undefined) throw new Error(`no ${tier} by the ${interval}`);
    return found;
  };

  return {
    plans,
    plan,

    async state(userId: string) {
      return (await world.payment.subscription(userId)).subscription;
    },

    /** Creates a user whose first period is paid and granted. */
    async subscriber(tier: string, interval: "month" | "year"): Promise<string> {
      const userId = await world.createUser();
      await world.subscribe(userId, plan(tier, interval).id);
      await world.settled();
      return userId;
    },

    async upgrade(userId: string, planId: string) {
      const preview = await world.payment.previewPlanChange(userId, { planId });
      const { subscription } = await world.payment.changePlan(userId, {
        planId,
        previewToken: preview.previewToken,
      });
      await world.settled();
      return { preview, subscription };
    },

    /** Credits ever granted by plans, including those of past months that have expired. */
    async granted(userId: string): Promise<number> {
      const { _sum } = await world.models.creditGrant.aggregate({
        where: { userId, source: "SUBSCRIPTION" },
        _sum: { amount: true },
      });
      return _sum.amount ?? 0;
    },

    async stripeIdOf(userId: string): Promise<string> {
      const row = await world.models.subscription.findFirstOrThrow({ where: { userId } });
      return row.stripeSubscriptionId;
    },
  };
}
