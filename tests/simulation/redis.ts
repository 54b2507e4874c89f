// The key-value side the simulated servers share, as Redis gives it: a cache and locks that end by virtual time.
// (The in-process one sets aside room for 200,000 entries, for every seed anew.)
import { randomUUID } from "node:crypto";
import type { Cache, Locks, PubSub } from "../../server/kv/ports.ts";
import type { Life, Stage } from "./process.ts";

/** What one process sees of it. */
export interface RedisLine {
  readonly cache: Cache;
  readonly locks: Locks;
  readonly pubsub: PubSub;
}

/** One Redis; each process gets a line of its own. */
export function createRedis(stage: Stage): (life: Life) => RedisLine {
  const { scheduler, faults } = stage;
  const values = new Map<string, { value: string; untilMs: number }>();

  function get(key: string): string | undefined {
    const found = values.get(key);
    if (found === undefined || found.untilMs > scheduler.nowMs) return found?.value;
    values.delete(key);
    return undefined;
  }
  const set = (key: string, value: string, ttlMs: number): void => {
    values.set(key, { value, untilMs: scheduler.nowMs + ttlMs });
  };
  const setIfAbsent = (key: string, value: string, ttlMs: number): boolean => {
    if (get(key) !== undefined) return false;
    set(key, value, ttlMs);
    return true;
  };

  return (life) => ({
    cache: {
      get: async (key) => {
        await life.cross("redis", "cache get");
        return get(key);
      },
      set: async (key, value, ttlSeconds) => {
        await life.cross("redis", "cache set");
        set(key, value, ttlSeconds * 1000);
        return true;
      },
      setIfAbsent: async (key, value, ttlSeconds) => {
        await life.cross("redis", "cache fill");
        return setIfAbsent(key, value, ttlSeconds * 1000);
      },
      delete: async (...keys) => {
        await life.cross("redis", "cache delete");
        for (const key of keys) values.delete(key);
      },
    },
    locks: {
      // Where it does not answer, everything counts as taken (server/kv/redis/locks.ts).
      acquire: async (keys, ttlMs) => {
        await life.cross("redis", "locks acquire");
        if (faults.redisAway())
          return { acquired: new Set(keys), release: () => Promise.resolve() };
        const token = randomUUID();
        const acquired = new Set(keys.filter((key) => setIfAbsent(key, token, ttlMs)));
        await life.cross("redis", `locks ${acquired.size} of ${keys.length}`);
        return {
          acquired,
          release: async () => {
            await life.cross("redis", "locks release");
            for (const key of acquired) if (get(key) === token) values.delete(key);
          },
        };
      },
    },
    // Nobody subscribes here: a message may be lost, and tells only to look again.
    pubsub: {
      publish: () => Promise.resolve(),
      subscribe: () => Promise.resolve(() => Promise.resolve()),
    },
  });
}
