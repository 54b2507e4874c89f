// The tables `credit_packages` and `plans`.
import type { PrismaModels } from "../../database/ports.ts";
import type { PlanOffer } from "../payment.types.ts";
import type { OfferTable } from "../ports.ts";

export function offerTable({ creditPackage, plan: plans }: PrismaModels): OfferTable {
  return {
    packages: () =>
      creditPackage.findMany({
        where: { isActive: true },
        orderBy: [{ sortOrder: "asc" }, { credits: "asc" }, { id: "asc" }],
      }),
    plans: async () => {
      const rows = await plans.findMany({
        where: { isActive: true },
        orderBy: [{ sortOrder: "asc" }, { price: "asc" }, { id: "asc" }],
      });
      return rows.map((row) => toPlan(row));
    },
    findPackage: (id) => creditPackage.findUnique({ where: { id } }),
    findPlan: async (id) => toPlan(await plans.findUnique({ where: { id } })),
    findPlanByPrice: async (stripePriceId) =>
      toPlan(await plans.findFirst({ where: { stripePriceId } })),
    setPackagePrice: async (id, stripePriceId) => {
      await creditPackage.update({ where: { id }, data: { stripePriceId } });
    },
    setPlanPrice: async (id, stripePriceId) => {
      await plans.update({ where: { id }, data: { stripePriceId } });
    },
    forgetPrice: async (stripePriceId) => {
      const change = { where: { stripePriceId }, data: { stripePriceId: null } };
      await plans.updateMany(change);
      await creditPackage.updateMany(change);
    },
  };
}

type Row = NonNullable<Awaited<ReturnType<PrismaModels["plan"]["findUnique"]>>>;

function toPlan(row: Row): PlanOffer;
function toPlan(row: Row | null): PlanOffer | null;
function toPlan(row: Row | null): PlanOffer | null {
  return row && { ...row, interval: row.interval === "year" ? "year" : "month" };
}
