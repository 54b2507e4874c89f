// Finds what is overdue: lots, holds, old keys. Ending them is the ledger's work.
import type { Database } from "../../database/ports.ts";
import { toSqlDate } from "../../database/dates.ts";

/** Finds users with something overdue. Each list is in id order and bounded by `limit`. */
export interface ExpiryStore {
  /** Users after `afterUserId` who have ACTIVE holds past their time. */
  usersWithOverdueHolds(nowMs: number, afterUserId: string, limit: number): Promise<string[]>;
  /** Users after `afterUserId` who have open lots past their time. */
  usersWithExpiredLots(nowMs: number, afterUserId: string, limit: number): Promise<string[]>;
  /** Deletes up to about `limit` idempotency keys older than `beforeMs`; answers how many. */
  pruneKeys(beforeMs: number, limit: number): Promise<number>;
}

/** The store over Prisma. */
export function createExpiryStore({ models, dialect }: Database): ExpiryStore {
  // In SQL, because Prisma makes rows distinct in memory, after reading them all.
  async function users(from: string, nowMs: number, after: string, limit: number) {
    const rows = await models.$queryRawUnsafe<{ userId: string }[]>(
      `SELECT userId FROM ${from} AND expiresAt <= ? AND userId > ?
       GROUP BY userId ORDER BY userId LIMIT ${Math.trunc(limit)}`,
      toSqlDate(dialect, new Date(nowMs)),
      after,
    );
    return rows.map(({ userId }) => userId);
  }

  return {
    usersWithOverdueHolds: (nowMs, after, limit) =>
      users("credit_holds WHERE status = 'ACTIVE'", nowMs, after, limit),

    usersWithExpiredLots: (nowMs, after, limit) =>
      users("credit_grants WHERE isOpen = 1", nowMs, after, limit),

    async pruneKeys(beforeMs, limit) {
      const old = await models.idempotencyKey.findMany({
        where: { createdAt: { lt: new Date(beforeMs) } },
        select: { userId: true, key: true },
        orderBy: { createdAt: "asc" },
        take: limit,
      });
      if (old.length === 0) return 0;
      const { count } = await models.idempotencyKey.deleteMany({
        where: { OR: old, createdAt: { lt: new Date(beforeMs) } },
      });
      return count;
    },
  };
}
