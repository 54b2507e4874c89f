import type { Database } from "../../database/ports.ts";
import { fromSqlDate, toSqlDate } from "../../database/dates.ts";

/** Something whose time is over. */
export interface Due {
  readonly id: string;
  readonly userId: string;
  readonly dueAtMs: number;
}

/** Finds what is overdue, the longest due first, after `after` and at most `limit`. Ending it is the ledger's work. */
export interface ExpiryStore {
  /** ACTIVE holds past their time. */
  overdueHolds(nowMs: number, after: Due | null, limit: number): Promise<Due[]>;
  /** Open lots past their time, those under a hold included. */
  expiredLots(nowMs: number, after: Due | null, limit: number): Promise<Due[]>;
}

/** The store over Prisma. */
export function createExpiryStore({ models, dialect }: Database): ExpiryStore {
  // In the order of the index, so that a page reads its own rows and no others, however many are due.
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
