// Advisory locks in Redis: random token, expiry, compare-and-delete; many keys in one round trip.
import { randomBytes } from "node:crypto";
import { Cluster, type Redis } from "ioredis";
import type { LockLease, Locks } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import type { RedisClient } from "./client.ts";

const ACQUIRE = `local taken = {}
for index, key in ipairs(KEYS) do
  taken[index] = redis.call('set', key, ARGV[1], 'PX', ARGV[2], 'NX') and 1 or 0
end
return taken`;

// Deletes only the holder's own lock: one that expired and was taken by another caller is left alone.
const RELEASE = `for _, key in ipairs(KEYS) do
  if redis.call('get', key) == ARGV[1] then redis.call('del', key) end
end`;

/** Creates locks under `keyPrefix`. While Redis is unavailable, every lock counts as taken by the caller. */
export function createRedisLocks(circuit: RedisCircuit, keyPrefix: string): Locks {
  const full = (key: string) => `${keyPrefix}:lock:${key}`;
  return {
    async acquire(keys, ttlMs): Promise<LockLease> {
      const wanted = [...new Set(keys)];
      if (wanted.length === 0) return { acquired: new Set(), release: () => Promise.resolve() };
      const token = randomBytes(16).toString("base64url");
      const taken = await circuit.ask(
        (client) => acquireAll(client, wanted.map(full), token, Math.max(1, Math.ceil(ttlMs))),
        () => wanted.map(() => true),
      );
      const acquired = new Set(wanted.filter((_key, index) => taken[index]));
      return {
        acquired,
        async release() {
          if (acquired.size === 0) return;
          await circuit.ask<unknown>(
            (client) => releaseAll(client, [...acquired].map(full), token),
            () => undefined,
          );
        },
      };
    },
  };
}

async function acquireAll(
  client: RedisClient,
  keys: string[],
  token: string,
  ttlMs: number,
): Promise<boolean[]> {
  if (client instanceof Cluster) {
    // One script cannot span nodes; single commands sent together still cost one round trip.
    return Promise.all(
      keys.map(async (key) => (await client.set(key, token, "PX", ttlMs, "NX")) === "OK"),
    );
  }
  const taken = (await runScript(client, ACQUIRE, keys, [token, String(ttlMs)])) as number[];
  return taken.map((one) => one === 1);
}

async function releaseAll(client: RedisClient, keys: string[], token: string): Promise<void> {
  if (client instanceof Cluster) {
    await Promise.all(keys.map((key) => client.eval(RELEASE, 1, key, token)));
    return;
  }
  await runScript(client, RELEASE, keys, [token]);
}

function runScript(client: Redis, script: string, keys: string[], args: string[]) {
  return client.eval(script, keys.length, ...keys, ...args);
}
