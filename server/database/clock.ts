// The one clock that all instances share: the database's. Servers' clocks can differ by minutes, which short lifetimes
// cannot tolerate.
import type { Database } from "./ports.ts";
import { fromSqlDate } from "./dates.ts";
import { orServiceUnavailable } from "./errors.ts";

const NOW = {
  mysql: "SELECT UTC_TIMESTAMP(3) AS now",
  sqlite: "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') AS now",
} as const;

/** Returns the database's clock as a function that resolves to milliseconds since 1970. */
export function databaseClock(database: Pick<Database, "dialect" | "models">) {
  return async (): Promise<number> => (await databaseNow(database)).getTime();
}

/**
 * Returns the database's current time. Call it outside transactions; it takes no lock. Throws SERVICE_UNAVAILABLE as
 * `transaction` does, so that callers, which call it just before one, can retry both.
 */
export async function databaseNow({
  dialect,
  models,
}: Pick<Database, "dialect" | "models">): Promise<Date> {
  const rows = models.$queryRawUnsafe<{ now: unknown }[]>(NOW[dialect]);
  const [row] = await orServiceUnavailable(rows);
  return fromSqlDate(dialect, row?.now);
}
