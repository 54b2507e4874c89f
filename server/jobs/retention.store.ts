import { fromSqlDateOrNull, toSqlDate } from "../database/dates.ts";
import type { Database } from "../database/ports.ts";

/** Rows that are kept for a time. */
export interface RetainedRows {
  readonly table: string;
  /** When a row's time began: a column that leads an index. */
  readonly since: string;
}

/** Deletes old rows, whatever the table. */
export interface RetentionStore {
  /** Deletes up to `rows` rows whose time began before `before`, the oldest first; answers how many. */
  deleteOldest(kept: RetainedRows, before: Date, rows: number): Promise<number>;
  /** When the time of the oldest row began; null where there is none. */
  oldest(kept: RetainedRows): Promise<Date | null>;
}

/** The store over either database. */
export function createRetentionStore({ dialect, models, transaction }: Database): RetentionStore {
  return {
    deleteOldest({ table, since }, before, rows) {
      const limit = Math.trunc(rows);
      const sql =
        dialect === "mysql"
          ? `DELETE FROM ${table} WHERE ${since} < ? ORDER BY ${since} LIMIT ${limit}`
          : `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${since} < ? ORDER BY ${since} LIMIT ${limit})`;
      return transaction((tx) => tx.sql.execute(sql, [toSqlDate(dialect, before)]));
    },
    async oldest({ table, since }) {
      const [row] = await models.$queryRawUnsafe<{ oldest: unknown }[]>(
        `SELECT MIN(${since}) AS oldest FROM ${table}`,
      );
      return fromSqlDateOrNull(dialect, row?.oldest);
    },
  };
}
