// How long the output of runs is kept in Redis, and mirrored there, if its producer's clock is set; and how a producer
// responds to an instance that is missing some of it.
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { openMemory } from "../../../server/kv/memory.ts";
import type { RedisCircuit } from "../../../server/kv/redis/circuit-breaker.ts";
import type { RedisClient } from "../../../server/kv/redis/client.ts";
import { createRedisRunOutput } from "../../../server/kv/redis/run-output.ts";
import { silent } from "../../support/silent.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance", "setTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** An output whose appends to Redis are recorded with their TTL and data. */
function openOutput() {
  const appends: { ttlMs: number; data: string }[] = [];
  const redis = { takesEvents: true };
  const { pubsub } = openMemory();
  const client = {
    eval(_script: string, _keys: number, _key: string, ...args: string[]) {
      const [firstSeq = "0", ttlMs = "0", , ...events] = args;
      if (!redis.takesEvents && events.length > 0)
        return Promise.reject(new Error("Redis is away"));
      for (const data of events) appends.push({ ttlMs: Number(ttlMs), data });
      return Promise.resolve(Number(firstSeq) + events.length - 1);
    },
  } as unknown as RedisClient;
  const circuit = {
    ask: <T>(question: (one: RedisClient) => Promise<T>, otherwise: () => T) =>
      question(client).catch(otherwise),
    onRecovery: () => undefined,
  } as unknown as RedisCircuit;
  const output = createRedisRunOutput({
    ...{ circuit, pubsub, keyPrefix: "test" },
    logger: silent,
  });
  return { output, appends, pubsub, redis };
}

it.each([
  ["back", -3_600_000],
  ["forward", 3_600_000],
])("is what was asked for though it is set %s", async (_how, byMs) => {
  const { output, appends } = openOutput();
  output.begin("run", 900);
  vi.setSystemTime(Date.now() + byMs);
  output.append("run", "text");
  await vi.advanceTimersByTimeAsync(100_000);
  output.append("run", "more");
  await vi.advanceTimersByTimeAsync(0);
  expect(appends).toEqual([
    { ttlMs: 900_000, data: "text" },
    { ttlMs: 800_000, data: "more" },
  ]);
  output.close();
});

it("answers who misses something once Redis has all there is, and not before", async () => {
  const { output, pubsub, redis } = openOutput();
  let answers = 0;
  await pubsub.subscribe("run:run", () => void (answers += 1));
  const answersTo = async (ask: () => unknown) => {
    answers = 0;
    await ask();
    // Each message takes a turn of the event loop.
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    return answers;
  };
  output.begin("run", 900);
  expect(await answersTo(() => output.append("run", "text"))).toBe(1);
  expect(await answersTo(() => output.requestMissing("run"))).toBe(1);
  redis.takesEvents = false;
  expect(await answersTo(() => output.append("run", "more"))).toBe(0);
  expect(await answersTo(() => output.requestMissing("run"))).toBe(0);
  redis.takesEvents = true;
  expect(await answersTo(() => output.requestMissing("run"))).toBeGreaterThan(0);
  expect(await answersTo(() => output.requestMissing("another"))).toBe(0);
  output.close();
});
