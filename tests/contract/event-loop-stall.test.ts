import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../server/infrastructure.ts";
import { openRedis } from "../../server/kv/redis/open.ts";
import type { KeyValues } from "../../server/kv/ports.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql } from "../support/mysql-databases.ts";
import {
  redisServerInstalled,
  startRedisServer,
  type RedisServer,
} from "../support/redis-server.ts";
import { openAt, uniqueKey } from "../support/databases.ts";
import { deferred } from "../support/deferred.ts";

const { databases } = await availableServers();

/** Blocks this process's only thread, as parsing huge JSON or a garbage collection under memory pressure would. */
function block(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

/** A logger whose lines can be read. */
function readableLogger() {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { logger: createLogger({ level: "warn", destination }), lines };
}

describe.each(databases)("a process that is blocked does not blame $name", ({ url }) => {
  let fresh: FreshDatabase;
  let backend: Backend;
  const { logger, lines } = readableLogger();

  beforeAll(async () => {
    fresh = await freshMysql(url);
    backend = await openAt(fresh.url, logger);
  });
  afterAll(async () => {
    await backend.close();
    await fresh.drop();
  });

  test("a slow statement outlives stalls, also one in the midst of the question for a sign of life", async () => {
    const { promise: started, resolve: start } = deferred();
    const slow = backend.database.rawTransaction(async (sql) => {
      await sql.query("SELECT 1", []);
      start();
      return sql.query("SELECT SLEEP(8) AS slept", []);
    });
    await started;
    block(1_300);
    // Each query goes out on its own connection; its answer arrives during the stall, and is read too late.
    let asked = 0;
    const stall = () => {
      asked += 1;
      setImmediate(() => block(1_300));
    };
    subscribe("net.client.socket", stall);
    try {
      expect(await slow).toEqual([{ slept: 0 }]);
    } finally {
      unsubscribe("net.client.socket", stall);
    }
    expect(asked).toBeGreaterThan(0);
    expect(lines.filter((line) => line.includes("does not answer"))).toEqual([]);
  });

  test("readiness does not say that the database is down", async () => {
    const asked = backend.check();
    block(1_500);
    expect(await asked).toMatchObject({ database: { status: "up" } });
  });
});

describe.runIf(redisServerInstalled)("a process that is blocked does not blame Redis", () => {
  let server: RedisServer;
  let store: KeyValues;
  const { logger, lines } = readableLogger();

  beforeAll(async () => {
    server = await startRedisServer();
    const config = {
      ...({ kind: "single", host: "127.0.0.1", tls: false, db: 0 } as const),
      port: server.port,
    };
    store = await openRedis(config, { logger, keyPrefix: "skywork_test_stall" });
  });
  afterAll(async () => {
    await store.close();
    await server.kill();
  });

  test("an answer that came during the stall counts, and nothing falls back", async () => {
    const key = uniqueKey();
    await store.cache.set(key, "v", 60);
    const asked = store.cache.get(key);
    block(1_000);
    expect(await asked).toBe("v");
    expect(await store.check()).toEqual({ status: "up" });
    expect(lines).toEqual([]);
  });
});
