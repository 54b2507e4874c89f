// The table `subscriptions`.
import type { PrismaModels } from "../../database/ports.ts";
import type { SubscriptionTable } from "../ports.ts";

export function subscriptionTable({ subscription: rows }: PrismaModels): SubscriptionTable {
  return {
    find: (id) => rows.findUnique({ where: { id } }),
    findByStripeId: (stripeSubscriptionId) => rows.findUnique({ where: { stripeSubscriptionId } }),
    known: async (stripeSubscriptionIds) => {
      const found = await rows.findMany({
        where: { stripeSubscriptionId: { in: [...stripeSubscriptionIds] } },
        select: { stripeSubscriptionId: true },
      });
      return new Set(found.map(({ stripeSubscriptionId }) => stripeSubscriptionId));
    },
    findLive: (userId) => rows.findUnique({ where: { liveKey: userId } }),
    ofUser: (userId) => rows.findMany({ where: { userId } }),
    customersOf: async (userId, take) => {
      const found = await rows.groupBy({
        by: ["stripeCustomerId"],
        where: { userId },
        orderBy: { _max: { createdAt: "desc" } },
        take,
      });
      return found.map(({ stripeCustomerId }) => stripeCustomerId);
    },
    live: ({ after, take }) =>
      rows.findMany({
        where: { id: { gt: after }, liveKey: { not: null } },
        orderBy: { id: "asc" },
        take,
      }),
    turnCursor: (turn) => readTurnCursor(rows, turn),
    dueForGrant: (dueAt, { after, take }) =>
      rows.findMany({
        where: { nextGrantAt: { lte: dueAt }, liveKey: { not: null }, id: { gt: after } },
        orderBy: { id: "asc" },
        take,
      }),
    create: async (subscription) => {
      await rows.create({ data: subscription });
    },
    update: async (id, change) => {
      await rows.update({ where: { id }, data: change });
    },
    close: async ({ id, version }, endedAt) => {
      await rows.updateMany({
        where: { id, version },
        data: {
          status: "canceled",
          liveKey: null,
          nextGrantAt: null,
          endedAt,
          version: version + 1,
        },
      });
    },
    setNextGrant: async ({ id, nextGrantAt: before }, nextGrantAt) => {
      await rows.updateMany({ where: { id, nextGrantAt: before }, data: { nextGrantAt } });
    },
  };
}

/** Each multiple, modulo 1, falls into the widest gap left by the earlier ones (a golden-ratio sequence). */
const GOLDEN_RATIO = 0.618_033_988_749_894_9;

async function readTurnCursor(rows: PrismaModels["subscription"], turn: number): Promise<string> {
  const where = { liveKey: { not: null } };
  const before = Math.floor(((turn * GOLDEN_RATIO) % 1) * (await rows.count({ where })));
  if (before === 0) return "";
  const last = await rows.findFirst({ where, orderBy: { id: "asc" }, skip: before - 1 });
  return last?.id ?? "";
}
