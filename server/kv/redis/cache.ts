// The cache in Redis. A change that Redis missed is applied before the cache is trusted again.
import { Cluster } from "ioredis";
import type { Cache } from "../ports.ts";
import { ttlMsOf } from "../memory.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import type { RedisClient } from "./client.ts";
import { batchPerTick } from "./batch-per-tick.ts";

const MAX_PENDING = 10_000;
const CATCH_UP_AGAIN_MS = 1_000;
/**
 * After an outage: long enough for every other instance to notice that it is over and to apply its own pending changes.
 */
const CATCH_UP_MS = 2_000;

/** Creates a cache under `keyPrefix`. Everything misses while Redis is unavailable. */
export function createRedisCache(circuit: RedisCircuit, keyPrefix: string): Cache {
  const { isSuspect, remember, settle, noteTtl } = createPendingInvalidations(circuit);
  const full = (key: string) => `${keyPrefix}:${key}`;

  const read = batchPerTick((names: readonly string[]) =>
    circuit.ask<(string | null)[]>(
      (client) => readAll(client, names),
      () => [],
    ),
  );

  return {
    async get(key) {
      if (isSuspect(full(key))) return undefined;
      return (await read(full(key))) ?? undefined;
    },
    set(key, value, ttlSeconds) {
      const ttlMs = ttlMsOf(ttlSeconds);
      noteTtl(ttlMs);
      const isSettled = settle(full(key));
      return circuit.ask(
        async (client) => {
          await client.set(full(key), value, "PX", ttlMs);
          return isSettled();
        },
        () => {
          remember([full(key)]);
          return false;
        },
      );
    },
    setIfAbsent: (key, value, ttlSeconds) =>
      circuit.ask<boolean | undefined>(
        async (client) => {
          const answer = await client.set(full(key), value, "PX", ttlMsOf(ttlSeconds), "NX");
          return answer === "OK";
        },
        () => undefined,
      ),
    async delete(...keys) {
      if (keys.length === 0) return;
      const names = keys.map(full);
      await circuit.ask<unknown>(
        // One command per key, sent together, because in a cluster the keys may live on different nodes.
        (client) => Promise.all(names.map((name) => client.del(name))),
        () => remember(names),
      );
    },
  };
}

/** Tracks deletions and writes that failed: their keys miss here until Redis has dropped the older value. */
function createPendingInvalidations(circuit: RedisCircuit) {
  // Each key with its last failure, or with the round that is deleting it: a key that fails again meanwhile stays
  // pending.
  const pending = new Map<string, { readonly isRound: boolean }>();
  let longestTtlMs = 0;
  // When more changes failed than can be remembered, nothing is trusted until every entry of that time has expired.
  let blindUntilMs = 0;
  let again: NodeJS.Timeout | undefined;

  async function catchUp(client: RedisClient): Promise<void> {
    const round = { isRound: true };
    const keys = [...pending.keys()];
    for (const key of keys) pending.set(key, round);
    await Promise.all(keys.map((key) => client.del(key)));
    for (const key of keys) if (pending.get(key) === round) pending.delete(key);
  }

  /**
   * Call this when a write is sent, and the function it returns once Redis has taken the write: the key then holds
   * nothing older that needs deleting. Returns false if a round was or is under way, because its deletion may come
   * after the write.
   */
  function settle(key: string): () => boolean {
    const failure = pending.get(key);
    return () => {
      if (failure?.isRound) return false;
      if (pending.get(key) === failure) pending.delete(key);
      return !pending.has(key);
    };
  }

  // A change may also fail just as an outage ends, or be refused by a Redis that is up (out of memory).
  function catchUpLater(): void {
    again ??= setTimeout(() => {
      again = undefined;
      if (pending.size === 0) return;
      if (circuit.open) catchUpLater();
      else void circuit.ask(catchUp, catchUpLater);
    }, CATCH_UP_AGAIN_MS).unref();
  }

  function remember(keys: readonly string[]): void {
    const failure = { isRound: false };
    for (const key of keys) pending.set(key, failure);
    catchUpLater();
    if (pending.size <= MAX_PENDING) return;
    pending.clear();
    blindUntilMs = performance.now() + longestTtlMs;
  }

  circuit.onRecovery(async (client) => {
    await catchUp(client);
    blindUntilMs = Math.max(blindUntilMs, performance.now() + CATCH_UP_MS);
  });
  return {
    isSuspect: (key: string) => pending.has(key) || performance.now() < blindUntilMs,
    remember,
    settle,
    noteTtl(ttlMs: number) {
      longestTtlMs = Math.max(longestTtlMs, ttlMs);
    },
  };
}

function readAll(client: RedisClient, names: readonly string[]): Promise<(string | null)[]> {
  // In a cluster the keys may live on different nodes.
  if (client instanceof Cluster) return Promise.all(names.map((name) => client.get(name)));
  return client.mget(...names);
}
