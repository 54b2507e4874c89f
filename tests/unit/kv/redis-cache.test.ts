// How the Redis cache handles changes that Redis did not accept, without an outage or while one ends.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openMemory } from "../../../server/kv/memory.ts";
import { createRedisCache } from "../../../server/kv/redis/cache.ts";
import type { RedisCircuit } from "../../../server/kv/redis/circuit-breaker.ts";
import type { RedisClient } from "../../../server/kv/redis/client.ts";
import { balanceKey, createAnnounce, TOMBSTONE } from "../../../server/ledger/balance-cache.ts";
import { silent as logger } from "../../support/silent.ts";

/** A Redis that can refuse or hold back commands, behind a circuit that the test opens and closes. */
function openRedis() {
  const entries = new Map<string, string>();
  const redis = {
    entries,
    open: false,
    refusesSets: false,
    /** Deletions wait for this promise; null if they are not held back. */
    held: null as Promise<void> | null,
    recover: async (): Promise<void> => undefined,
  };
  const client = {
    async set(key: string, value: string, _px: string, _ttlMs: number, nx?: "NX") {
      if (redis.refusesSets) throw new Error("OOM command not allowed");
      if (nx !== undefined && entries.has(key)) return null;
      entries.set(key, value);
      return "OK";
    },
    async del(key: string) {
      await redis.held;
      entries.delete(key);
    },
    mget: async (...keys: string[]) => keys.map((key) => entries.get(key) ?? null),
  } as unknown as RedisClient;
  const circuit = {
    get open() {
      return redis.open;
    },
    async ask<T>(question: (one: RedisClient) => Promise<T>, fallback: () => T | Promise<T>) {
      if (redis.open) return fallback();
      return question(client).catch(fallback);
    },
    onRecovery(work: (one: RedisClient) => Promise<void>) {
      redis.recover = () => work(client);
    },
  } as unknown as RedisCircuit;
  return { redis, cache: createRedisCache(circuit, "test") };
}

describe("changes that Redis did not take", () => {
  beforeEach(
    () => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }),
  );
  afterEach(() => void vi.useRealTimers());

  it("are made good when they failed while the outage ended", async () => {
    const { redis, cache } = openRedis();
    await cache.set("b", "old", 60);
    redis.open = true;
    await cache.delete("a");
    let letGo = (): void => undefined;
    redis.held = new Promise((resolve) => (letGo = resolve));
    const recovered = redis.recover();
    // The circuit is still open: this deletion does not reach Redis, and the recovery in progress does not know of it.
    await cache.delete("b");
    letGo();
    redis.held = null;
    await recovered;
    redis.open = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(redis.entries.has("test:b")).toBe(false);
    await cache.set("b", "new", 60);
    expect(await cache.get("b")).toBe("new");
  });

  it("are made good twice for a key that failed again while it was made good", async () => {
    const { redis, cache } = openRedis();
    redis.open = true;
    await cache.delete("a");
    let letGo = (): void => undefined;
    redis.held = new Promise((resolve) => (letGo = resolve));
    const recovered = redis.recover();
    await cache.delete("a");
    letGo();
    redis.held = null;
    await recovered;
    redis.open = false;
    // Written by another instance after the first deletion and before the second, which did not reach Redis.
    redis.entries.set("test:a", "older");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(redis.entries.has("test:a")).toBe(false);
  });

  it("are made good when Redis refused them, though there was no outage", async () => {
    const { redis, cache } = openRedis();
    redis.refusesSets = true;
    await cache.set("a", "1", 60);
    expect(await cache.get("a")).toBeUndefined();
    redis.refusesSets = false;
    await vi.advanceTimersByTimeAsync(2_000);
    await cache.set("a", "2", 60);
    expect(await cache.get("a")).toBe("2");
  });

  it("are tried again until Redis takes them", async () => {
    const { redis, cache } = openRedis();
    await cache.set("a", "old", 60);
    redis.open = true;
    await cache.delete("a");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(redis.entries.has("test:a")).toBe(true);
    redis.open = false;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(redis.entries.has("test:a")).toBe(false);
  });
});

describe("tombstones of changed balances", () => {
  beforeEach(
    () => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] }),
  );
  afterEach(() => void vi.useRealTimers());

  const key = balanceKey("u1");
  function openAnnounce() {
    const { redis, cache } = openRedis();
    const announce = createAnnounce({ cache, pubsub: openMemory().pubsub, logger });
    /** What a reader that found nothing writes. */
    const fill = () => cache.setIfAbsent(key, "filled", 10);
    return { redis, announce, fill, stored: () => redis.entries.get(`test:${key}`) };
  }

  it("are set again after one that Redis did not take", async () => {
    const { redis, announce, fill, stored } = openAnnounce();
    redis.open = true;
    await announce(["u1"]);
    await vi.advanceTimersByTimeAsync(300);
    await redis.recover();
    redis.open = false;
    await vi.advanceTimersByTimeAsync(300);
    await fill();
    expect(stored()).toBe("filled");
    await vi.advanceTimersByTimeAsync(600);
    await announce(["u1"]);
    expect(stored()).toBe(TOMBSTONE);
  });

  it("outlive the deletion that makes good an earlier one that Redis refused", async () => {
    const { redis, announce, fill, stored } = openAnnounce();
    redis.refusesSets = true;
    await announce(["u1"]);
    redis.refusesSets = false;
    await vi.advanceTimersByTimeAsync(500);
    await announce(["u1"]);
    await vi.advanceTimersByTimeAsync(1_000);
    await fill();
    expect(stored()).toBe(TOMBSTONE);
  });

  it("are set again when they are deleted while they are set", async () => {
    const { redis, announce, fill, stored } = openAnnounce();
    redis.open = true;
    await announce(["u1"]);
    redis.open = false;
    let letGo = (): void => undefined;
    redis.held = new Promise((resolve) => (letGo = resolve));
    const recovered = redis.recover();
    await announce(["u1"]);
    letGo();
    await recovered;
    await fill();
    await announce(["u1"]);
    expect(stored()).toBe(TOMBSTONE);
  });

  it("are set again in time when the clock is set back", async () => {
    const { redis, announce, stored } = openAnnounce();
    await announce(["u1"]);
    vi.setSystemTime(Date.now() - 60_000);
    await vi.advanceTimersByTimeAsync(3_000);
    redis.entries.delete(`test:${key}`);
    await announce(["u1"]);
    expect(stored()).toBe(TOMBSTONE);
  });
});
