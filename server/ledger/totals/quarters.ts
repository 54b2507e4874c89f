import type { SqlDialect } from "../../database/dates.ts";

/** Length of one bucket of the totals. Every time zone in use today is offset from UTC by a multiple of it. */
export const QUARTER_MS = 900_000;
/** Number of buckets in 24 hours. */
export const QUARTERS_PER_DAY = 96;

/** Returns the last quarter boundary at or before `ms`. */
export function quarterStart(ms: number): number {
  return Math.floor(ms / QUARTER_MS) * QUARTER_MS;
}

/** Returns the first quarter boundary at or after `ms`. */
export function quarterEnd(ms: number): number {
  return Math.ceil(ms / QUARTER_MS) * QUARTER_MS;
}

/** Returns SQL for the number of the quarter, counted from 1970, in which `column` lies. */
export function quarterOf(dialect: SqlDialect, column: string): string {
  return dialect === "mysql"
    ? `TIMESTAMPDIFF(SECOND, '1970-01-01', ${column}) DIV 900`
    : `CAST(strftime('%s', ${column}) AS INTEGER) / 900`;
}
