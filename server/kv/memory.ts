// The in-process key-value side: cache, locks, limits and messages of a single instance, all bounded.
import { EventEmitter } from "node:events";
import { LRUCache } from "lru-cache";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import type {
  Cache,
  KeyValues,
  Limiter,
  LimiterRule,
  LimitResult,
  Locks,
  PubSub,
} from "./ports.ts";
import { createMemoryRunOutput } from "./memory-run-output.ts";

const MAX_CACHE_ENTRIES = 50_000;
const MAX_LOCKS = 100_000;
const MAX_LIMITER_KEYS = 10_000;

/** Opens a key-value side that lives and dies with this process. */
export function openMemory(): KeyValues {
  const emitter = new EventEmitter().setMaxListeners(0);
  const runOutput = createMemoryRunOutput();
  return {
    cache: createMemoryCache(),
    locks: createMemoryLocks(),
    pubsub: createMemoryPubSub(emitter),
    runOutput,
    limiter: createMemoryLimiter,
    check: () => Promise.resolve({ status: "up", detail: "in-process" }),
    stats: () => null,
    close() {
      emitter.removeAllListeners();
      runOutput.close();
      return Promise.resolve();
    },
  };
}

/** Creates a cache that evicts the least recently used entries beyond 50,000. */
export function createMemoryCache(): Cache {
  const entries = new LRUCache<string, string>({ max: MAX_CACHE_ENTRIES });
  return {
    get: (key) => Promise.resolve(entries.get(key)),
    set(key, value, ttlSeconds) {
      entries.set(key, value, { ttl: ttlMsOf(ttlSeconds) });
      return Promise.resolve(true);
    },
    setIfAbsent(key, value, ttlSeconds) {
      const absent = !entries.has(key);
      if (absent) entries.set(key, value, { ttl: ttlMsOf(ttlSeconds) });
      return Promise.resolve(absent);
    },
    delete(...keys) {
      for (const key of keys) entries.delete(key);
      return Promise.resolve();
    },
  };
}

/** Converts a time to live to milliseconds. Never returns 0, which the stores would take to mean "forever". */
export function ttlMsOf(ttlSeconds: number): number {
  return Math.max(1, Math.round(ttlSeconds * 1000));
}

function createMemoryLocks(): Locks {
  const held = new LRUCache<string, symbol>({ max: MAX_LOCKS });
  return {
    acquire(keys, ttlMs) {
      const token = Symbol("lease");
      const acquired = new Set<string>();
      for (const key of keys) {
        if (held.has(key)) continue;
        held.set(key, token, { ttl: ttlMs });
        acquired.add(key);
      }
      return Promise.resolve({
        acquired,
        release() {
          for (const key of acquired) if (held.get(key) === token) held.delete(key);
          return Promise.resolve();
        },
      });
    },
  };
}

function createMemoryPubSub(emitter: EventEmitter): PubSub {
  return {
    publish(channel, message) {
      // As over the wire, a listener never runs inside its publisher's call.
      setImmediate(() => emitter.emit(channel, message));
      return Promise.resolve();
    },
    subscribe(channel, listener) {
      emitter.on(channel, listener);
      return Promise.resolve(() => {
        emitter.off(channel, listener);
        return Promise.resolve();
      });
    },
  };
}

/** Creates a limiter that counts in this process, for at most 10,000 keys. */
export function createMemoryLimiter(rule: LimiterRule): Limiter {
  const limiter = new RateLimiterMemory({
    points: rule.points,
    duration: rule.windowMs / 1000,
    keyPrefix: rule.name,
  });
  const recent = new LRUCache<string, true>({
    max: MAX_LIMITER_KEYS,
    dispose: (_value, key) => void limiter.delete(key),
  });
  return {
    consume(key) {
      recent.set(key, true, { noDisposeOnSet: true });
      return toLimitResult(rule, limiter.consume(key));
    },
  };
}

/** The library resolves when the call is allowed and rejects when it is not; errors of the store pass through. */
async function toLimitResult(
  rule: LimiterRule,
  consumption: Promise<RateLimiterRes>,
): Promise<LimitResult> {
  const answer = await consumption.then(
    (result) => ({ allowed: true, result }),
    (error: unknown) => {
      if (error instanceof RateLimiterRes) return { allowed: false, result: error };
      throw error;
    },
  );
  const { remainingPoints, msBeforeNext } = answer.result;
  return {
    allowed: answer.allowed,
    remaining: Math.min(rule.points, Math.max(0, remainingPoints)),
    resetMs: Math.max(0, msBeforeNext),
  };
}
