// The figures administrators look at. One statement at a time, each served by an index.
import { setImmediate as breathe } from "node:timers/promises";
import type { PrismaModels } from "../database/ports.ts";
import type { AdminStore } from "./ports.ts";

type Stats = Awaited<ReturnType<AdminStore["stats"]>>;

/** Entries are added up a month at a time: others' statements run between two of them. */
const PIECE_MS = 31 * 86_400_000;
const PAID = ["SUCCESS", "REFUNDED", "PARTIALLY_REFUNDED", "DISPUTED"];

/** AdminStore.stats: what happened in [from, to), and what is there now. */
export async function readStats(models: PrismaModels, from: Date, to: Date): Promise<Stats> {
  // One after another: figures are for looking at, and must not take the connections of those who work.
  const users = await readUserCounts(models, from, to);
  const { granted, spent } = await readMovements(models, from, to);
  const outstanding = await models.user.aggregate({
    where: { credits: { gt: 0 } },
    _sum: { credits: true },
  });
  const payments = await readPayments(models, from, to);
  const live = await models.subscription.count({ where: { liveKey: { not: null } } });
  const pending = await models.stripeEvent.count({ where: { status: "PENDING" } });
  const failed = await models.stripeEvent.count({ where: { status: "FAILED" } });
  return {
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

async function readMovements(
  models: PrismaModels,
  from: Date,
  to: Date,
): Promise<{ granted: number; spent: number }> {
  let granted = 0;
  let spent = 0;
  for (let startMs = from.getTime(); startMs < to.getTime(); startMs += PIECE_MS) {
    const end = new Date(Math.min(startMs + PIECE_MS, to.getTime()));
    const createdAt = { gte: new Date(startMs), lt: end };
    const _sum = { amount: true } as const;
    const given = await models.creditLog.aggregate({
      where: { createdAt, amount: { gt: 0 } },
      _sum,
    });
    const used = await models.creditLog.aggregate({ where: { createdAt, type: "USAGE" }, _sum });
    granted += given._sum.amount ?? 0;
    spent -= used._sum.amount ?? 0;
    await breathe();
  }
  return { granted, spent };
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
