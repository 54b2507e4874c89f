// How dates are written in SQL, so that Prisma's writes and raw statements compare and sort alike.

/** The two databases. */
export type SqlDialect = "mysql" | "sqlite";

/**
 * A date as raw SQL has to pass it, as a parameter or inside a JSON parameter. Millisecond precision, UTC, fixed width.
 * SQLite: `2026-01-31T12:00:00.000+00:00`, which is also what Prisma writes there; the text sorts as the time does.
 * MySQL: `2026-01-31 12:00:00.000` for DATETIME(3); every connection runs in UTC.
 */
export function toSqlDate(dialect: SqlDialect, date: Date): string {
  const iso = date.toISOString();
  return dialect === "sqlite"
    ? `${iso.slice(0, -1)}+00:00`
    : `${iso.slice(0, 10)} ${iso.slice(11, -1)}`;
}

/** A date as raw SQL gave it (text, or a Date from Prisma). Throws TypeError on anything that is not a date. */
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
  // A zone is present in SQLite's form only; MySQL's text and SQLite's CURRENT_TIMESTAMP are UTC without saying so.
  const zoned = /(?:Z|[+-]\d\d:\d\d)$/.test(value) ? value : `${value.replace(" ", "T")}Z`;
  return new Date(zoned);
}
