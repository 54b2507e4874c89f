// The one clock all instances share: the database's. Servers differ by minutes, and short terms must not.
import type { Database } from "./ports.ts";
import { fromSqlDate } from "./dates.ts";
import { orServiceUnavailable } from "./errors.ts";

const NOW = {
  mysql: "SELECT UTC_TIMESTAMP(3) AS now",
  sqlite: "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') AS now",
} as const;

/** The database's clock as a function: milliseconds since 1970. */
export function databaseClock(database: Pick<Database, "dialect" | "models">) {
  return async (): Promise<number> => (await databaseNow(database)).getTime();
}

/**
 * What the database's clock says. Asked outside of transactions: it locks nothing. Throws SERVICE_UNAVAILABLE as
 * `transaction` does, which it goes before: its callers try both again.
 */
export async function databaseNow({
  dialect,
  models,
}: Pick<Database, "dialect" | "models">): Promise<Date> {
  const rows = models.$queryRawUnsafe<{ now: unknown }[]>(NOW[dialect]);
  const [row] = await orServiceUnavailable(rows);
  return fromSqlDate(dialect, row?.now);
}
