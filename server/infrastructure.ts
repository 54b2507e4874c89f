// The choice of back end: which database and which key-value side stand behind the ports.
import { seedCatalogue } from "../prisma/seed.ts";
import type { Config } from "./config/config.ts";
import type { Logger } from "./lib/logger.ts";
import { withFallback } from "./lib/timeout.ts";
import type { Database, OpenDatabase } from "./database/database.ts";
import { openMemory } from "./kv/memory.ts";
import type { DependencyState, KeyValues } from "./kv/ports.ts";

const CHECK_MS = 1_000;

/** Everything the composition root gets from its surroundings. Owned and closed by whoever opened it. */
export interface Backend {
  readonly kind: "embedded" | "production";
  readonly database: Database;
  readonly cache: KeyValues["cache"];
  readonly locks: KeyValues["locks"];
  readonly pubsub: KeyValues["pubsub"];
  readonly runOutput: KeyValues["runOutput"];
  readonly limiter: KeyValues["limiter"];
  /** Bounded to about a second. */
  check(): Promise<{ database: DependencyState; redis: DependencyState }>;
  /** Closes connections; waits for what is in flight; safe to call twice. */
  close(): Promise<void>;
}

/** What a back end needs from its opener. */
export interface BackendOptions {
  config: Pick<Config, "database" | "redis" | "environment">;
  logger: Logger;
  /** Prefix of every Redis key; tests use their own. */
  keyPrefix?: string;
}

/**
 * Opens the database (migrated, catalogue seeded) and the key-value side: SQLite or MySQL by DATABASE_URL, in-process
 * or Redis by REDIS_*. The two choices are independent. What is not chosen is not even loaded.
 * Throws a plain Error with a sentence for the operator when the database cannot be used. Redis may be away.
 */
export async function openBackend(options: BackendOptions): Promise<Backend> {
  const database = await openDatabase(options);
  try {
    const keyValues = await openKeyValues(options);
    return assemble(options, database, keyValues);
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Opens the database alone, migrated and with its catalogue: for commands that need nothing else. */
export async function openDatabase(options: BackendOptions): Promise<OpenDatabase> {
  const open = await openMigrated(options);
  try {
    await seedCatalogue(open.database.models);
    return open;
  } catch (error) {
    await open.close();
    throw error;
  }
}

async function openMigrated({ config, logger }: BackendOptions): Promise<OpenDatabase> {
  switch (config.database.kind) {
    case "sqlite": {
      const { openEmbeddedDatabase } = await import("./database/sqlite/open.ts");
      return openEmbeddedDatabase(config.database.url, logger);
    }
    case "mysql": {
      const { openProductionDatabase } = await import("./database/mysql/open.ts");
      const mayCreate = config.environment !== "production";
      const { url, sslCa } = config.database;
      return openProductionDatabase(url, { logger, mayCreate, sslCa });
    }
  }
}

async function openKeyValues({ config, logger, keyPrefix }: BackendOptions): Promise<KeyValues> {
  if (config.redis === null) return openMemory();
  const { openRedis } = await import("./kv/redis/open.ts");
  return openRedis(config.redis, { logger, keyPrefix: keyPrefix ?? "skywork" });
}

function assemble(options: BackendOptions, open: OpenDatabase, keyValues: KeyValues): Backend {
  let closing: Promise<void> | undefined;
  return {
    kind: options.config.database.kind === "sqlite" ? "embedded" : "production",
    database: open.database,
    cache: keyValues.cache,
    locks: keyValues.locks,
    pubsub: keyValues.pubsub,
    runOutput: keyValues.runOutput,
    limiter: keyValues.limiter,
    async check() {
      const [database, redis] = await Promise.all([
        withFallback<DependencyState>(open.check(), CHECK_MS, {
          status: "down",
          detail: "The database does not answer.",
        }),
        withFallback<DependencyState>(keyValues.check(), CHECK_MS, {
          status: "degraded",
          detail: "Redis does not answer.",
        }),
      ]);
      return { database, redis };
    },
    close() {
      closing ??= (async () => {
        // What still runs may want to invalidate a cache; nothing in the cache needs the database.
        await open.close();
        await keyValues.close();
      })();
      return closing;
    },
  };
}
