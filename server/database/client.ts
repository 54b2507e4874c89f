// The two generated Prisma clients seen as one.
import type { PrismaClient as MysqlClient } from "../../prisma/generated/mysql/client.ts";
import type { PrismaClient as SqliteClient } from "../../prisma/generated/sqlite/client.ts";

/** Columns Prisma leaves out unless a query selects them by name, so that no answer or log can carry them by accident. */
export const SECRET_COLUMNS = {
  session: { refreshTokenHash: true, previousTokenHash: true },
} as const;

/** The client both back ends are seen as. */
export type ServerPrismaClient = MysqlClient<never, typeof SECRET_COLUMNS>;

/** The two generated clients differ only in filters SQLite lacks (full-text search), which nobody uses: the one cast. */
export function asServerClient(
  client: SqliteClient<never, typeof SECRET_COLUMNS>,
): ServerPrismaClient {
  return client as unknown as ServerPrismaClient;
}
