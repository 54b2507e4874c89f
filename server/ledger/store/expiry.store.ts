import type { Database } from "../../database/ports.ts";
import { fromSqlDate, toSqlDate } from "../../database/dates.ts";

/** An expired hold or lot. */
export interface Due {
  readonly id: string;
  readonly userId: string;
  readonly dueAtMs: number;
}

/** Finds up to `limit` expired rows, longest overdue first, starting after `after`. The ledger does the expiring. */
export interface ExpiryStore {
  /** Returns expired holds that are still ACTIVE. */
  overdueHolds(nowMs: number, after: Due | null, limit: number): Promise<Due[]>;
  /** Returns expired lots that are still open, including those under a hold. */
  expiredLots(nowMs: number, after: Due | null, limit: number): Promise<Due[]>;
}

/** Creates the store over Prisma. */
export function createExpiryStore({ models, dialect }: Database): ExpiryStore {
  // In index order, so that a page reads only its own rows, however many are due.
  async function find(open: string, nowMs: number, after: Due | null, limit: number) {
    const [now, from] = [nowMs, after?.dueAtMs ?? 0].map((ms) => toSqlDate(dialect, new Date(ms)));
    const rows = await models.$queryRawUnsafe<{ id: string; userId: string; expiresAt: unknown }[]>(
      `SELECT id, userId, expiresAt FROM ${open} AND expiresAt <= ? AND expiresAt >= ? AND (expiresAt > ? OR id > ?)
       ORDER BY expiresAt, id LIMIT ${Math.trunc(limit)}`,
      now,
      from,
      from,
      after?.id ?? "",
    );
    return rows.map(({ id, userId, expiresAt }) => ({
      id,
      userId,
      dueAtMs: fromSqlDate(dialect, expiresAt).getTime(),
    }));
  }

  return {
    overdueHolds: (...args) => find("credit_holds WHERE status = 'ACTIVE'", ...args),
    expiredLots: (...args) => find("credit_grants WHERE isOpen = 1", ...args),
  };
}
