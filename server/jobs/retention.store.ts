import { fromSqlDateOrNull, toSqlDate } from "../database/dates.ts";
import type { Database } from "../database/ports.ts";

/** A table whose rows are kept for a limited time. */
export interface RetainedRows {
  readonly table: string;
  /** The column from which a row's age counts. It must be the first of an index. */
  readonly since: string;
}

/** Deletes old rows of any table. */
export interface RetentionStore {
  /** Deletes up to `rows` rows older than `before`, oldest first. Returns how many. */
  deleteOldest(kept: RetainedRows, before: Date, rows: number): Promise<number>;
  /** Returns the date of the oldest row; null when there is none. */
  oldest(kept: RetainedRows): Promise<Date | null>;
}

/** Creates the store, for either database. */
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
