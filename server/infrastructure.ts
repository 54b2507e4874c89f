// Chooses the back end: which database and which key-value store implement the ports.
import { probeWrite } from "./database/write-probe.ts";
import { type DatabaseOptions, openDatabase } from "./database/open.ts";
import type { OpenDatabase, PoolStats } from "./database/ports.ts";
import { type KeyValueOptions, openKeyValues } from "./kv/open.ts";
import type { KeyValues, RedisStats } from "./kv/ports.ts";
import type { DependencyState } from "./lib/dependency-state.ts";
import { withFallback } from "./lib/timeout.ts";

const CHECK_MS = 1_000;

/** What the back end is doing right now, for the metrics. */
export interface BackendStats {
  readonly pools: readonly PoolStats[];
  readonly redis: RedisStats | null;
}

/** All infrastructure that the composition root is given. Owned and closed by its opener. */
export interface Backend
  extends Pick<OpenDatabase, "database" | "diskSpace" | "onStatement">,
    Pick<KeyValues, "cache" | "locks" | "pubsub" | "runOutput" | "limiter"> {
  /** Bounded to about a second. */
  check(): Promise<{ database: DependencyState; redis: DependencyState }>;
  /** Writes one row and returns the database's resulting state. */
  probeWrite(): Promise<DependencyState>;
  stats(): BackendStats;
  /** Closes connections; waits for what is in flight; safe to call twice. */
  close(): Promise<void>;
}

/** Options for opening a back end. */
export type BackendOptions = DatabaseOptions & KeyValueOptions;

/**
 * Opens the database (migrated, catalog seeded) and the key-value store: SQLite or MySQL by DATABASE_URL, in-process or
 * Redis by REDIS_*. The two choices are independent. What is not chosen is never loaded.
 * Throws a plain Error with a sentence for the operator when the database cannot be used. Redis may be unavailable.
 */
export async function openBackend(options: BackendOptions): Promise<Backend> {
  const database = await openDatabase(options);
  try {
    const keyValues = await openKeyValues(options);
    return assemble(database, keyValues);
  } catch (error) {
    await database.close();
    throw error;
  }
}

function assemble(open: OpenDatabase, keyValues: KeyValues): Backend {
  const { database, diskSpace, onStatement } = open;
  const { cache, locks, pubsub, runOutput, limiter } = keyValues;
  let closing: Promise<void> | undefined;
  return {
    ...{ database, diskSpace, onStatement, cache, locks, pubsub, runOutput, limiter },
    async check() {
      const [database, redis] = await Promise.all([
        withFallback<DependencyState>(open.check(), CHECK_MS, {
          status: "down",
          detail: "The database does not answer.",
          action: "See whether the database server runs and can be reached from here.",
        }),
        withFallback<DependencyState>(keyValues.check(), CHECK_MS, {
          status: "degraded",
          detail: "Redis does not answer.",
          action: "See whether Redis runs and can be reached from here.",
        }),
      ]);
      return { database, redis };
    },
    probeWrite: () => probeWrite(database),
    stats: () => ({ pools: open.pools(), redis: keyValues.stats() }),
    close() {
      closing ??= (async () => {
        // The database first: work still in flight may invalidate a cache, but no cache operation needs the database.
        await open.close();
        await keyValues.close();
      })();
      return closing;
    },
  };
}
