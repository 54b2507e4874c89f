// Limits counted in Redis: exact over all instances, in one command per turn of the event loop for all callers.
import { Cluster } from "ioredis";
import { createMemoryLimiter } from "../memory.ts";
import type { Limiter, LimiterRule } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import type { RedisClient } from "./client.ts";
import { batchPerTick } from "./batch-per-tick.ts";

/**
 * Fixed windows: a key counts from its first point until it expires. Returns, for each key, its points and the milliseconds
 * left. A key without an end, which no window of ours leaves, gets one.
 */
const COUNT = `local answers = {}
for index, key in ipairs(KEYS) do
  local consumed = redis.call('incrby', key, ARGV[2 * index - 1])
  local left = redis.call('pttl', key)
  if left < 0 then
    redis.call('pexpire', key, ARGV[2 * index])
    left = tonumber(ARGV[2 * index])
  end
  answers[2 * index - 1] = consumed
  answers[2 * index] = left
end
return answers`;

interface Increment {
  readonly key: string;
  /** Negative gives points back. */
  readonly points: number;
  readonly windowMs: number;
}

/** A key after its increment. */
interface Count {
  readonly consumed: number;
  readonly resetMs: number;
}

/** Makes limiters under `keyPrefix` that share their commands. While Redis is unavailable each counts in memory. */
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
    const add = (key: string, points: number) =>
      count({ key: `${keyPrefix}:limit:${rule.name}:${key}`, points, windowMs: rule.windowMs });
    return {
      async consume(key, points) {
        const counted = await add(key, points);
        if (counted === undefined) return inMemory.consume(key, points);
        const { consumed, resetMs } = counted;
        const remaining = Math.min(rule.points, Math.max(0, rule.points - consumed));
        return { allowed: consumed <= rule.points, limit: rule.points, remaining, resetMs };
      },
    };
  };
}

async function countAll(client: RedisClient, increments: readonly Increment[]): Promise<Count[]> {
  // One script cannot span nodes; single ones sent at once still cost one round trip.
  if (client instanceof Cluster)
    return (await Promise.all(increments.map((one) => runCount(client, [one])))).flat();
  return runCount(client, increments);
}

async function runCount(client: RedisClient, increments: readonly Increment[]): Promise<Count[]> {
  const keys = increments.map(({ key }) => key);
  const points = increments.flatMap(({ points, windowMs }) => [points, windowMs]);
  const answers = (await client.eval(COUNT, keys.length, ...keys, ...points)) as number[];
  return increments.map((_one, index) => ({
    consumed: answers[2 * index] ?? 0,
    resetMs: answers[2 * index + 1] ?? 0,
  }));
}
