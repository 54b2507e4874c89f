// The one clock all instances share: the database's. Servers differ by minutes, and short terms must not.
import type { Database } from "./ports.ts";
import { fromSqlDate } from "./dates.ts";

const NOW = {
  mysql: "SELECT UTC_TIMESTAMP(3) AS now",
  sqlite: "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') AS now",
} as const;

/** What the database's clock says. Asked outside of transactions: it locks nothing. */
export async function databaseNow(database: Pick<Database, "dialect" | "models">): Promise<Date> {
  const [row] = await database.models.$queryRawUnsafe<{ now: unknown }[]>(NOW[database.dialect]);
  return fromSqlDate(database.dialect, row?.now);
}
