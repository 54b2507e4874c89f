// Limits counted in Redis: exact across all instances, with one command per turn of the event loop for all callers.
import { Cluster } from "ioredis";
import { createMemoryLimiter } from "../memory.ts";
import type { Limiter, LimiterRule } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import type { RedisClient } from "./client.ts";
import { batchPerTick } from "./batch-per-tick.ts";

/**
 * Fixed windows: a key counts from its first call until it expires. Returns, for each key, its calls and the
 * milliseconds left. A key without an expiry, which this script never leaves behind, gets one.
 */
const COUNT = `local answers = {}
for index, key in ipairs(KEYS) do
  local consumed = redis.call('incr', key)
  local left = redis.call('pttl', key)
  if left < 0 then
    redis.call('pexpire', key, ARGV[index])
    left = tonumber(ARGV[index])
  end
  answers[2 * index - 1] = consumed
  answers[2 * index] = left
end
return answers`;

interface Increment {
  readonly key: string;
  readonly windowMs: number;
}

/** A key's state after its increment. */
interface Count {
  readonly consumed: number;
  readonly resetMs: number;
}

/** Creates limiters under `keyPrefix` that share their commands. While Redis is unavailable, each counts in memory. */
export function createRedisLimiters(
  circuit: RedisCircuit,
  keyPrefix: string,
): (rule: LimiterRule) => Limiter {
  const count = batchPerTick((increments: readonly Increment[]) =>
    circuit.ask<(Count | undefined)[]>(
      (client) => countAll(client, increments),
      () => [],
    ),
  );
  return (rule) => {
    const inMemory = createMemoryLimiter(rule);
    const prefix = `${keyPrefix}:limit:${rule.name}`;
    return {
      async consume(key) {
        const counted = await count({ key: `${prefix}:${key}`, windowMs: rule.windowMs });
        if (counted === undefined) return inMemory.consume(key);
        const { consumed, resetMs } = counted;
        const remaining = Math.min(rule.points, Math.max(0, rule.points - consumed));
        return { allowed: consumed <= rule.points, remaining, resetMs };
      },
    };
  };
}

async function countAll(client: RedisClient, increments: readonly Increment[]): Promise<Count[]> {
  // One script cannot span nodes; single ones sent together still cost one round trip.
  if (client instanceof Cluster)
    return (await Promise.all(increments.map((one) => runCount(client, [one])))).flat();
  return runCount(client, increments);
}

async function runCount(client: RedisClient, increments: readonly Increment[]): Promise<Count[]> {
  const keys = increments.map(({ key }) => key);
  const windows = increments.map(({ windowMs }) => windowMs);
  const answers = (await client.eval(COUNT, keys.length, ...keys, ...windows)) as number[];
  return increments.map((_one, index) => ({
    consumed: answers[2 * index] ?? 0,
    resetMs: answers[2 * index + 1] ?? 0,
  }));
}
