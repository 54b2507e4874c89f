// Opens the key-value side: Redis where REDIS_* configures one, else this process.
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import { openMemory } from "./memory.ts";
import type { KeyValues } from "./ports.ts";

/** What opening the key-value side needs. */
export interface KeyValueOptions {
  readonly config: Pick<Config, "redis">;
  readonly logger: Logger;
  /** Prefix of every Redis key; defaults to `skywork`. Tests use their own. */
  readonly keyPrefix?: string;
}

/**
 * Opens the key-value side. Does not throw when Redis is unavailable. The Redis client is loaded only where it is used.
 */
export async function openKeyValues(options: KeyValueOptions): Promise<KeyValues> {
  const { config, logger, keyPrefix = "skywork" } = options;
  if (config.redis === null) return openMemory();
  const { openRedis } = await import("./redis/open.ts");
  return openRedis(config.redis, { logger, keyPrefix });
}
