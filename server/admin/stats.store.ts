// The figures administrators look at. One statement at a time.
import type { Database, PrismaModels } from "../database/ports.ts";
import { createCreditTotalsStore } from "../ledger/totals/credit-totals.store.ts";
import type { AdminStore } from "./ports.ts";

type Stats = Awaited<ReturnType<AdminStore["stats"]>>;

const PAID = ["SUCCESS", "REFUNDED", "PARTIALLY_REFUNDED", "DISPUTED"];

/** AdminStore.stats: what happened in a time, and what is there now. */
export async function readStats(
  database: Database,
  wantedFrom: Date,
  wantedTo: Date,
): Promise<Stats> {
  const { models } = database;
  // One after another: figures are for looking at, and must not take the connections of those who work.
  const { granted, spent, fromMs, toMs } = await createCreditTotalsStore(database).movements(
    wantedFrom.getTime(),
    wantedTo.getTime(),
  );
  const [from, to] = [new Date(fromMs), new Date(toMs)];
  const users = await readUserCounts(models, from, to);
  const outstanding = await models.user.aggregate({
    where: { credits: { gt: 0 } },
    _sum: { credits: true },
  });
  const payments = await readPayments(models, from, to);
  const live = await models.subscription.count({ where: { liveKey: { not: null } } });
  const pending = await models.stripeEvent.count({ where: { status: "PENDING" } });
  const failed = await models.stripeEvent.count({ where: { status: "FAILED" } });
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    users,
    credits: { granted, spent, outstanding: outstanding._sum.credits ?? 0 },
    payments,
    subscriptions: { live },
    events: { pending, failed },
  };
}

async function readUserCounts(models: PrismaModels, from: Date, to: Date): Promise<Stats["users"]> {
  const total = await models.user.count({ where: { deletedAt: null } });
  const created = await models.user.count({ where: { createdAt: { gte: from, lt: to } } });
  const disabled = await models.user.count({
    where: { disabledAt: { not: null }, deletedAt: null },
  });
  return { total, created, disabled };
}

async function readPayments(
  models: PrismaModels,
  from: Date,
  to: Date,
): Promise<Stats["payments"]> {
  const groups = await models.payment.groupBy({
    by: ["currency"],
    where: { createdAt: { gte: from, lt: to }, status: { in: PAID } },
    _count: { _all: true },
    _sum: { amount: true, refundedAmount: true },
    orderBy: { currency: "asc" },
  });
  return groups.map((group) => ({
    currency: group.currency,
    count: group._count._all,
    amount: group._sum.amount ?? 0,
    refundedAmount: group._sum.refundedAmount ?? 0,
  }));
}
