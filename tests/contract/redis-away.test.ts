// How the key-value side behaves while Redis is killed, frozen, flushed, or unavailable from the start.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { KeyValues } from "../../server/kv/ports.ts";
import { openRedis } from "../../server/kv/redis/open.ts";
import { freePort } from "../support/ports.ts";
import {
  type RedisServer,
  redisServerInstalled,
  startRedisServer,
} from "../support/redis-server.ts";
import { uniqueKey } from "../support/databases.ts";
import { within } from "../support/own-time.ts";
import { silent as logger } from "../support/silent.ts";

const options = { logger, keyPrefix: "skywork_test_away" };
const configOf = (port: number) =>
  ({ kind: "single", host: "127.0.0.1", port, tls: false, db: 0 }) as const;
const rule = { name: "away", points: 3, windowMs: 60_000 };

/** Everything one request may ask of the key-value side, in sequence. Throws if that takes more than three seconds. */
const oneRequest = (store: KeyValues) => within(3_000, () => askEverything(store));

async function askEverything(store: KeyValues): Promise<unknown[]> {
  const key = uniqueKey();
  const limit = await store.limiter(rule).consume(key);
  const cached = await store.cache.get(key);
  const lease = await store.locks.acquire([key, uniqueKey()], 1_000);
  await store.cache.set(key, "v", 10);
  await store.cache.delete(key);
  await lease.release();
  const absent = await store.cache.setIfAbsent(key, "v", 10);
  await store.pubsub.publish("channel", "message");
  return [limit.allowed, cached, lease.acquired.size, absent];
}

describe.runIf(redisServerInstalled)("Redis going away", { timeout: 240_000 }, () => {
  let server: RedisServer;
  let store: KeyValues;
  let other: KeyValues;

  const up = () =>
    expect.poll(() => store.check(), { timeout: 60_000, interval: 100 }).toEqual({ status: "up" });
  /** Waits until Redis takes part in every answer again: slow answers alone may still open the circuit. */
  const calm = () =>
    expect
      .poll(() => oneRequest(store), { timeout: 60_000, interval: 100 })
      .toEqual([true, undefined, 2, true]);

  beforeAll(async () => {
    server = await startRedisServer();
    store = await openRedis(configOf(server.port), options);
    other = await openRedis(configOf(server.port), options);
  });
  beforeEach(up, 90_000);
  afterAll(async () => {
    server.thaw();
    await Promise.all([store.close(), other.close()]);
    await server.kill();
  });

  const outages = [
    ["killed", () => server.kill(), () => server.start()],
    ["frozen", () => server.freeze(), () => server.thaw()],
  ] as const;

  test.each(outages)(
    "%s: Redis is waited for once, by nobody afterwards, and it comes back by itself",
    async (how, begin, end) => {
      await calm();
      const opened = store.stats()?.opened ?? Number.NaN;
      await begin();
      const during = await Promise.all(Array.from({ length: 20 }, () => oneRequest(store)));
      for (const answers of during) expect(answers).toEqual([true, undefined, 2, undefined]);
      // An open circuit sends nothing: every request after the first timeout was answered without Redis.
      expect(store.stats()).toMatchObject({ circuitOpen: true, opened: opened + 1 });
      const fallbacks = store.stats()?.fallbacks ?? Number.NaN;
      expect(await oneRequest(store)).toEqual([true, undefined, 2, undefined]);
      expect(store.stats()?.fallbacks).toBeGreaterThan(fallbacks);
      expect(store.stats()).toMatchObject({ circuitOpen: true, opened: opened + 1 });
      expect((await store.check()).status).toBe("degraded");
      if (how === "killed")
        await expect
          .poll(async () => (await store.check()).detail)
          .toContain("Redis does not answer (ECONNREFUSED):");
      await end();
      await up();
      await calm();
    },
  );

  test.each(outages)("%s: limits go on in memory", async (_how, begin, end) => {
    await begin();
    const limiter = store.limiter(rule);
    const key = uniqueKey();
    const allowed: boolean[] = [];
    for (let call = 0; call < 5; call += 1) allowed.push((await limiter.consume(key)).allowed);
    expect(allowed).toEqual([true, true, true, false, false]);
    await end();
    await up();
  });

  test("what was deleted or overwritten while Redis was frozen is not found in it afterwards", async () => {
    const [key, overwritten, untouched] = [uniqueKey(), uniqueKey(), uniqueKey()];
    for (const name of [key, overwritten, untouched]) await store.cache.set(name, "old", 60);
    server.freeze();
    await store.cache.delete(key);
    await store.cache.set(overwritten, "changed", 60);
    expect(await store.cache.get(key)).toBeUndefined();
    server.thaw();
    await up();
    for (const instance of [store, other]) {
      expect(await instance.cache.get(key)).toBeUndefined();
      expect(await instance.cache.get(overwritten)).not.toBe("old");
      await expect.poll(() => instance.cache.get(untouched), { timeout: 60_000 }).toBe("old");
      expect(await instance.cache.get(overwritten)).not.toBe("old");
    }
    await store.cache.set(key, "new", 60);
    expect(await store.cache.get(key)).toBe("new");
  });

  test("subscribers hear again after Redis was killed and started afresh, also those that came meanwhile", async () => {
    const channel = uniqueKey();
    const heard: string[] = [];
    await other.pubsub.subscribe(channel, (message) => heard.push(`before ${message}`));
    await server.kill();
    await other.pubsub.subscribe(channel, (message) => heard.push(`during ${message}`));
    await server.start();
    await up();
    await expect
      .poll(
        async () => {
          await store.pubsub.publish(channel, "x");
          return [...new Set(heard)].sort();
        },
        { timeout: 15_000, interval: 200 },
      )
      .toEqual(["before x", "during x"]);
  });

  test("locks that Redis forgot (a flush, a failover) are simply free", async () => {
    const key = uniqueKey();
    const lease = await store.locks.acquire([key], 60_000);
    await server.kill();
    await server.start();
    await up();
    await lease.release();
    expect((await other.locks.acquire([key], 1_000)).acquired.has(key)).toBe(true);
  });
});

describe("Redis that never answers", () => {
  test("the start takes about a second, and everything works without it", async () => {
    const config = configOf(await freePort());
    const store = await within(3_000, () => openRedis(config, options));
    expect(await oneRequest(store)).toEqual([true, undefined, 2, undefined]);
    expect(await store.check()).toMatchObject({ status: "degraded" });
    await Promise.all([store.close(), store.close()]);
  });
});
