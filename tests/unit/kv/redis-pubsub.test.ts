// The subscriber connection is checked by messages to itself, not by a PING, which another node might answer.
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RedisCircuit } from "../../../server/kv/redis/circuit-breaker.ts";
import type { RedisClient } from "../../../server/kv/redis/client.ts";
import { createRedisPubSub } from "../../../server/kv/redis/pubsub.ts";
import { silent } from "../../support/silent.ts";

/** A Redis whose subscriber connection can stop receiving, and whose publisher connection can be unavailable. */
function openPubSub() {
  const redis = { isDeaf: false, isUnavailable: false, isBusy: false, hangUps: 0 };
  const subscribed = new Set<string>();
  const subscriber = Object.assign(new EventEmitter(), {
    status: "ready",
    subscribe(...channels: string[]) {
      if (redis.isBusy) return Promise.reject(new Error("BUSY Redis is busy running a script."));
      for (const channel of channels) subscribed.add(channel);
      return Promise.resolve(subscribed.size);
    },
    unsubscribe(channel: string) {
      subscribed.delete(channel);
      // Never answered.
      return new Promise(() => undefined);
    },
    disconnect: () => void (redis.hangUps += 1),
  });
  const publish = (channel: string, message: string) => {
    if (!redis.isDeaf) subscriber.emit("message", channel, message);
    return Promise.resolve(1);
  };
  const circuit = {
    ask: <T>(question: (client: RedisClient) => Promise<T>, fallback: () => T) =>
      redis.isUnavailable ? fallback() : question({ publish } as unknown as RedisClient),
  } as unknown as RedisCircuit;
  const pubsub = createRedisPubSub({
    circuit,
    subscriber: subscriber as unknown as RedisClient,
    keyPrefix: "test",
    logger: silent,
  });
  return { redis, pubsub, subscribed };
}

describe("a connection that listens", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is kept while it hears, and while nobody can say anything", async () => {
    const { redis, pubsub } = openPubSub();
    await vi.advanceTimersByTimeAsync(60_000);
    redis.isDeaf = true;
    redis.isUnavailable = true;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(redis.hangUps).toBe(0);
    pubsub.stop();
  });

  it("is made anew within ten seconds when it hears nothing of what is said", async () => {
    const { redis, pubsub } = openPubSub();
    await vi.advanceTimersByTimeAsync(10_000);
    redis.isDeaf = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(redis.hangUps).toBe(1);
    redis.isDeaf = false;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(redis.hangUps).toBe(1);
    pubsub.stop();
  });

  it("subscribes with the next pulse what Redis refused, unless nobody listens any more", async () => {
    const { redis, pubsub, subscribed } = openPubSub();
    redis.isBusy = true;
    await pubsub.subscribe("kept", () => undefined);
    const leave = await pubsub.subscribe("left", () => undefined);
    await leave();
    redis.isBusy = false;
    await vi.advanceTimersByTimeAsync(2_000);
    expect([...subscribed]).toEqual(["test:kept"]);
    pubsub.stop();
  });

  it("hears for a function as often as it was subscribed, and lets go of a Redis that is silent", async () => {
    const { pubsub, subscribed } = openPubSub();
    let heard = 0;
    const listener = () => void (heard += 1);
    const [leave, leaveToo] = [
      await pubsub.subscribe("news", listener),
      await pubsub.subscribe("news", listener),
    ];
    await pubsub.publish("news", "");
    expect(heard).toBe(2);
    await leave();
    await leave();
    await pubsub.publish("news", "");
    expect(heard).toBe(3);
    await leaveToo();
    expect([...subscribed]).toEqual([]);
    pubsub.stop();
  });
});
