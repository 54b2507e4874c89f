// Owns the choice of back end and the small interfaces the rest of the server sees instead of MySQL, SQLite and Redis.
import { setTimeout as sleep } from "node:timers/promises";
import { seedCatalogue } from "../../prisma/seed.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../logger.ts";
import type { Database, OpenDatabase } from "./database.ts";
import { openMemory } from "./memory.ts";

/** Bounded key-value store for things that may be lost at any time. A failing store misses; it never throws. */
export interface Cache {
  /** The value under `key`, or undefined (absent, expired, or the store is away). */
  get(key: string): Promise<string | undefined>;
  /** Keeps `value` for `ttlSeconds` at most. */
  set(key: string, value: string, ttlSeconds: number): Promise<void>;
  /** Sets only if absent; true when this call set it. When the store is away: `undefined` (unknown). */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean | undefined>;
  delete(...keys: string[]): Promise<void>;
}

/** Advisory per-user locks: speed, never correctness (DESIGN.md 3.5). */
export interface Locks {
  /**
   * Tries to take all of `keys` in one round trip for `ttlMs`.
   * Returns what was taken and a way to give it back. When the store is away, everything counts as taken.
   */
  acquire(keys: readonly string[], ttlMs: number): Promise<LockLease>;
}

/** Locks held by this caller until `release` or the end of their time. */
export interface LockLease {
  readonly acquired: ReadonlySet<string>;
  /** Compare-and-delete: a lock that expired and was taken by another stays theirs. Never throws. */
  release(): Promise<void>;
}

/** Fire-and-forget messages between instances. Lost messages are allowed; subscribers re-read the database. */
export interface PubSub {
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` for each message until the returned function is called. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
}

/** What a limiter says of one consumption. */
export interface LimitResult {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Milliseconds until the window is over. */
  resetMs: number;
}

/** Counts points per key in fixed windows. Falls back to memory when Redis is away. */
export interface Limiter {
  consume(key: string, points: number): Promise<LimitResult>;
  /** Gives points back (a concurrency slot freed, an attempt that should not count). */
  reward(key: string, points: number): Promise<void>;
}

/** A limiter's shape: `points` per `windowMs`, under a name of its own. */
export interface LimiterRule {
  name: string;
  points: number;
  windowMs: number;
}

/** The state of one dependency, for /ready. */
export interface DependencyState {
  status: "up" | "degraded" | "down";
  /** Kind words for an operator, without secrets. */
  detail?: string;
}

/** Everything the composition root gets from its surroundings. Owned and closed by whoever opened it. */
export interface Backend {
  readonly kind: "embedded" | "production";
  readonly database: Database;
  readonly cache: Cache;
  readonly locks: Locks;
  readonly pubsub: PubSub;
  limiter(rule: LimiterRule): Limiter;
  /** Bounded to about a second. */
  check(): Promise<{ database: DependencyState; redis: DependencyState }>;
  /** Closes connections; waits for what is in flight; safe to call twice. */
  close(): Promise<void>;
}

/** The key-value side as its two implementations give it. */
export interface KeyValues
  extends Pick<Backend, "cache" | "locks" | "pubsub" | "limiter" | "close"> {
  check(): Promise<DependencyState>;
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
      const { openEmbeddedDatabase } = await import("./embedded.ts");
      return openEmbeddedDatabase(config.database.url, logger);
    }
    case "mysql": {
      const { openProductionDatabase } = await import("./production.ts");
      const mayCreate = config.environment !== "production";
      return openProductionDatabase(config.database.url, { logger, mayCreate });
    }
  }
}

async function openKeyValues({ config, logger, keyPrefix }: BackendOptions): Promise<KeyValues> {
  if (config.redis === null) return openMemory();
  const { openRedis } = await import("./redis.ts");
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
    limiter: keyValues.limiter,
    async check() {
      const [database, redis] = await Promise.all([
        soon(open.check(), { status: "down", detail: "The database does not answer." }),
        soon(keyValues.check(), { status: "degraded", detail: "Redis does not answer." }),
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

/** A check's answer, or what its silence means after a second. */
async function soon(check: Promise<DependencyState>, silent: DependencyState) {
  const stop = new AbortController();
  const late = sleep(1_000, silent, { signal: stop.signal }).catch(() => silent);
  const state = await Promise.race([check, late]);
  stop.abort();
  return state;
}
