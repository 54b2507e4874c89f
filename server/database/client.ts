// The two generated Prisma clients seen as one.
import type { PrismaClient as MysqlClient } from "../../prisma/generated/mysql/client.ts";
import type { PrismaClient as SqliteClient } from "../../prisma/generated/sqlite/client.ts";

/** Options of both clients. */
export const CLIENT_OPTIONS = {
  /** Left out unless a query selects them by name, so that no answer or log can carry them by accident. */
  omit: { session: { refreshTokenHash: true, previousTokenHash: true } },
  errorFormat: "minimal",
  /** Each number of equal reads in one turn of the event loop is a plan of its own, some kB; Prisma would keep 2,000. */
  queryPlanCacheMaxSize: 300,
} as const;

/** The client both back ends are seen as. */
export type ServerPrismaClient = MysqlClient<never, (typeof CLIENT_OPTIONS)["omit"]>;

/** The two generated clients differ only in filters SQLite lacks (full-text search), which nobody uses: the one cast. */
export function asServerClient(
  client: SqliteClient<never, (typeof CLIENT_OPTIONS)["omit"]>,
): ServerPrismaClient {
  return client as unknown as ServerPrismaClient;
}
