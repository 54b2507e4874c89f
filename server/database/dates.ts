// How dates are written in SQL, so that those written by Prisma and by raw statements compare and sort alike.

/** The two supported SQL dialects. */
export type SqlDialect = "mysql" | "sqlite";

/**
 * Returns a date in the form raw SQL must pass it in, as a parameter or inside a JSON parameter: UTC, millisecond
 * precision, fixed width.
 * - SQLite: `2026-01-31T12:00:00.000+00:00`, which is also what Prisma writes; the text sorts by time
 * - MySQL: `2026-01-31 12:00:00.000` for DATETIME(3); every connection runs in UTC
 */
export function toSqlDate(dialect: SqlDialect, date: Date): string {
  const iso = date.toISOString();
  return dialect === "sqlite"
    ? `${iso.slice(0, -1)}+00:00`
    : `${iso.slice(0, 10)} ${iso.slice(11, -1)}`;
}

/**
 * Parses a date that raw SQL returned (text, a number, or a Date from Prisma). Throws TypeError when it is not a date.
 */
export function fromSqlDate(dialect: SqlDialect, value: unknown): Date {
  const date = value instanceof Date ? value : parse(value);
  if (Number.isNaN(date.getTime())) throw new TypeError(`Not a ${dialect} date: ${String(value)}`);
  return date;
}

/** `fromSqlDate` for a column that may be NULL. */
export function fromSqlDateOrNull(dialect: SqlDialect, value: unknown): Date | null {
  return value === null || value === undefined ? null : fromSqlDate(dialect, value);
}

function parse(value: unknown): Date {
  if (typeof value === "number") return new Date(value);
  if (typeof value !== "string") return new Date(Number.NaN);
  // Only the form that toSqlDate writes for SQLite carries a zone; MySQL's text and SQLite's CURRENT_TIMESTAMP are UTC
  // without saying so.
  const zoned = /(?:Z|[+-]\d\d:\d\d)$/.test(value) ? value : `${value.replace(" ", "T")}Z`;
  return new Date(zoned);
}
