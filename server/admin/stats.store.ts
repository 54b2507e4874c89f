// Statistics for administrators, read one statement at a time.
import { toSqlDate } from "../database/dates.ts";
import type { Database, PrismaModels } from "../database/ports.ts";
import { createCreditTotalsStore } from "../ledger/totals/credit-totals.store.ts";
import type { AdminStore } from "./ports.ts";

type Stats = Awaited<ReturnType<AdminStore["stats"]>>;

const PAID = ["SUCCESS", "REFUNDED", "PARTIALLY_REFUNDED", "DISPUTED"];

/** AdminStore.stats: what happened in a period, and the current totals. */
export async function readStats(
  database: Database,
  wantedFrom: Date,
  wantedTo: Date,
): Promise<Stats> {
  const { models } = database;
  const credits = createCreditTotalsStore(database);
  // One after another, because statistics are not urgent and must not take connections from requests that are.
  const { fromMs, toMs } = await credits.rangeOf(wantedFrom.getTime(), wantedTo.getTime());
  const [from, to] = [new Date(fromMs), new Date(toMs)];
  const { outstanding, uncounted, ...users } = await readUserFigures(database, from, to);
  // After the users, whose scan says whether there is anything to look for beyond the totals and movements.
  const moved = await credits.movements(fromMs, toMs, { allCounted: uncounted === 0 });
  // The mark has moved meanwhile: start over, because all figures are to cover the same range.
  if (moved.fromMs !== fromMs || moved.toMs !== toMs)
    return readStats(database, wantedFrom, wantedTo);
  const payments = await readPayments(models, from, to);
  const live = await models.subscription.count({ where: { liveKey: { not: null } } });
  const pending = await models.stripeEvent.count({ where: { status: "PENDING" } });
  const failed = await models.stripeEvent.count({ where: { status: "FAILED" } });
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    users,
    credits: { granted: moved.granted, spent: moved.spent, outstanding },
    payments,
    subscriptions: { live },
    events: { pending, failed },
  };
}

/** One scan of all users, because each count on its own would need one, too. Doubles are exact up to 2^53. */
async function readUserFigures({ models, dialect }: Database, from: Date, to: Date) {
  const [row = {}] = await models.$queryRawUnsafe<Record<string, unknown>[]>(
    `SELECT COUNT(CASE WHEN deletedAt IS NULL THEN 1 END) AS total,
       COUNT(CASE WHEN createdAt >= ? AND createdAt < ? THEN 1 END) AS created,
       COUNT(CASE WHEN disabledAt IS NOT NULL AND deletedAt IS NULL THEN 1 END) AS disabled,
       COUNT(CASE WHEN ledgerSeq > rolledSeq THEN 1 END) AS uncounted,
       SUM(CASE WHEN credits > 0 THEN credits + 0e0 ELSE 0e0 END) AS outstanding
     FROM users`,
    toSqlDate(dialect, from),
    toSqlDate(dialect, to),
  );
  return {
    total: Number(row["total"]),
    created: Number(row["created"]),
    disabled: Number(row["disabled"]),
    uncounted: Number(row["uncounted"]),
    outstanding: Number(row["outstanding"] ?? 0),
  };
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
