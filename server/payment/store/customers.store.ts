// The table `users`, as Stripe customers.
import type { PrismaModels } from "../../database/ports.ts";
import type { CustomerTable } from "../ports.ts";

export function customerTable({ user: rows }: PrismaModels): CustomerTable {
  return {
    find: (id) =>
      rows.findUnique({
        where: { id },
        select: { email: true, name: true, stripeCustomerId: true, deletedAt: true, credits: true },
      }),
    findUserId: async (stripeCustomerId) => {
      const user = await rows.findUnique({ where: { stripeCustomerId }, select: { id: true } });
      return user?.id ?? null;
    },
    known: async (stripeCustomerIds) => {
      const users = await rows.findMany({
        where: { stripeCustomerId: { in: [...stripeCustomerIds] } },
        select: { stripeCustomerId: true },
      });
      return new Set(users.map(({ stripeCustomerId }) => stripeCustomerId ?? ""));
    },
    setCustomer: async (id, stripeCustomerId) => {
      await rows.updateMany({ where: { id, stripeCustomerId: null }, data: { stripeCustomerId } });
    },
    forgetCustomer: async (id, stripeCustomerId) => {
      await rows.updateMany({ where: { id, stripeCustomerId }, data: { stripeCustomerId: null } });
    },
  };
}
