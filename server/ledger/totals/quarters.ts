import type { SqlDialect } from "../../database/dates.ts";

/** The time of one bucket of the totals. Every zone in use is a whole number of them away from UTC. */
export const QUARTER_MS = 900_000;
/** Buckets of 24 hours. */
export const QUARTERS_PER_DAY = 96;

/** The last border of two quarters at or before `ms`. */
export function quarterStart(ms: number): number {
  return Math.floor(ms / QUARTER_MS) * QUARTER_MS;
}

/** The first border of two quarters at or after `ms`. */
export function quarterEnd(ms: number): number {
  return Math.ceil(ms / QUARTER_MS) * QUARTER_MS;
}

/** The quarter that `column` lies in, counted from 1970, in the SQL of `dialect`. */
export function quarterOf(dialect: SqlDialect, column: string): string {
  return dialect === "mysql"
    ? `TIMESTAMPDIFF(SECOND, '1970-01-01', ${column}) DIV 900`
    : `CAST(strftime('%s', ${column}) AS INTEGER) / 900`;
}
