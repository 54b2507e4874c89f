// Placeholder
import type { RedisConfig } from "../config.ts";
import type { Logger } from "../logger.ts";
import type { KeyValues } from "./backend.ts";
import { openMemory } from "./memory.ts";
export function openRedis(_c: RedisConfig, _o: { logger: Logger; keyPrefix: string }): KeyValues {
  return openMemory();
}
