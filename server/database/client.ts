// One type for the two generated Prisma clients.
import type { PrismaClient as MysqlClient } from "../../prisma/generated/mysql/client.ts";
import type { PrismaClient as SqliteClient } from "../../prisma/generated/sqlite/client.ts";

/** The options both clients are created with. */
export const CLIENT_OPTIONS = {
  /** Omitted unless a query selects them by name, so that no response or log includes them by accident. */
  omit: { session: { refreshTokenHash: true, previousTokenHash: true } },
  errorFormat: "minimal",
  /**
   * Every distinct number of identical reads in one turn of the event loop has its own query plan, of some kB. Prisma's
   * default is to keep 2,000.
   */
  queryPlanCacheMaxSize: 300,
} as const;

/** The type both clients are used as. */
export type ServerPrismaClient = MysqlClient<never, (typeof CLIENT_OPTIONS)["omit"]>;

/**
 * Returns the SQLite client as the common type: the only such cast. The two differ only in filters that SQLite lacks
 * (full-text search), which nothing here uses.
 */
export function asServerClient(
  client: SqliteClient<never, (typeof CLIENT_OPTIONS)["omit"]>,
): ServerPrismaClient {
  return client as unknown as ServerPrismaClient;
}
