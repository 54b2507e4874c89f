// Opens the database that DATABASE_URL names: SQLite or MySQL, migrated, with its catalog.
import { seedCatalog } from "../../prisma/seed.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import type { OpenDatabase } from "./ports.ts";

/** What opening the database needs. */
export interface DatabaseOptions {
  readonly config: Pick<Config, "database" | "environment">;
  readonly logger: Logger;
  /** Whether a missing database is created. Defaults to true, but in production a MySQL database is never created. */
  readonly mayCreate?: boolean;
  /** How long to wait for a MySQL or MariaDB server that does not respond. Defaults to no wait. */
  readonly databaseWaitMs?: number;
}

/**
 * Opens, migrates and seeds the database. The other engine is never loaded. Throws a plain Error with a sentence for
 * the operator when it cannot be used.
 */
export async function openDatabase(options: DatabaseOptions): Promise<OpenDatabase> {
  const open = await openMigrated(options);
  try {
    await seedCatalog(open.database.models);
    return open;
  } catch (error) {
    await open.close();
    throw error;
  }
}

async function openMigrated(options: DatabaseOptions): Promise<OpenDatabase> {
  const { config, logger } = options;
  const isProduction = config.environment === "production";
  switch (config.database.kind) {
    case "sqlite": {
      const { openEmbeddedDatabase } = await import("./sqlite/open.ts");
      const mayCreate = options.mayCreate ?? true;
      return openEmbeddedDatabase(config.database.url, { logger, mayCreate });
    }
    case "mysql": {
      const { openProductionDatabase } = await import("./mysql/open.ts");
      const mayCreate = options.mayCreate !== false && !isProduction;
      const { url, sslCa } = config.database;
      const waitMs = options.databaseWaitMs ?? 0;
      return openProductionDatabase(url, { logger, mayCreate, sslCa, waitMs });
    }
  }
}
