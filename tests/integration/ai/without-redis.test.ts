// Readers on another instance than the run's: what they get while Redis is unavailable, after a flush, without Redis.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RunEvent } from "../../../shared/src/ai.ts";
import { createClient } from "../../../shared/src/client.ts";
import { type AvailableBackend, describeBackend } from "../../support/databases.ts";
import { availableServers } from "../../support/servers.ts";
import {
  type RedisServer,
  redisServerInstalled,
  startRedisServer,
} from "../../support/redis-server.ts";
import { type SignedIn, openTestApp, type TestApp } from "../../support/server.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { readRun } from "../../support/read-run.ts";

const TIMINGS = {
  // Each instance reconnects to a lost Redis at its own time, up to a second or two after the other.
  readerGraceMs: 3_000,
  maxRunMs: 120_000,
  keepOutputMs: 40_000,
  leaseMs: 5_000,
  tickMs: 200,
};
/** At this speed a whole answer takes 90 seconds, so a run does not end before the test speeds it up. */
const VERY_SLOW = 2;
/** At this speed a whole answer takes a few seconds. */
const SLOW = 30;
// In tests, SQLite's instances share one process and one output, so two separate instances require a database server.
const { databases } = await availableServers();

/** The steps that both suites take with two instances. */
function twoInstances(server: () => TestApp, person: () => SignedIn) {
  const client = () => server().client(person().accessToken);
  const view = (runId: string) => client().ai.run.query({ runId });
  return {
    start: () =>
      client().ai.start.mutate({
        feature: "chat-pro",
        messages: [{ role: "user", content: "Go on for a while" }],
        idempotencyKey: randomUUID(),
      }),
    view,
    readHere: (runId: string) => readRun(server().url, person().accessToken, { runId }),
    readElsewhere: (runId: string) =>
      readRun(server().instances[1]?.url ?? "", person().accessToken, { runId }),
    async ended(runId: string) {
      await expect
        .poll(async () => (await view(runId)).state, { timeout: 40_000, interval: 50 })
        .not.toBe("running");
      return view(runId);
    },
  };
}

describe.runIf(redisServerInstalled).each(databases)("Redis away, $name", ({ name, url }) => {
  let redisServer: RedisServer;
  let redis: Redis;
  let available: AvailableBackend;
  let server: TestApp;
  let person: SignedIn;
  const { start, view, readHere, readElsewhere, ended } = twoInstances(
    () => server,
    () => person,
  );

  beforeAll(async () => {
    redisServer = await startRedisServer();
    const redisUrl = `redis://127.0.0.1:${redisServer.port}`;
    redis = new Redis(redisUrl);
    redis.on("error", () => undefined);
    available = describeBackend(name, url, redisUrl);
    server = await openTestApp({ available, instances: 2, app: { runTimings: TIMINGS } });
  });
  beforeEach(async () => {
    server.sandbox.model.control.reset();
    server.sandbox.model.control.setSpeed(SLOW);
    person = await server.signIn(`${randomUUID()}@example.com`);
  });
  afterAll(async () => {
    await server.close();
    redis.disconnect();
    await redisServer.kill();
  });

  const markOfReader = async (runId: string) =>
    (await redis.keys("*")).find((key) => key.includes(runId) && key.endsWith(":reader"));
  const untilRead = (runId: string) =>
    expect.poll(() => markOfReader(runId), { timeout: 20_000, interval: 20 }).toBeDefined();

  it("for longer than a run goes on without readers: it goes on, and its reader gets all of it", async () => {
    server.sandbox.model.control.setSpeed(VERY_SLOW);
    const { runId } = await start();
    const reading = readElsewhere(runId);
    await untilRead(runId);
    await redisServer.kill();
    await sleep(TIMINGS.readerGraceMs * 2);
    expect((await view(runId)).state).toBe("running");
    await redisServer.start();
    await untilRead(runId);
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    const { text, end } = await reading;
    expect(end).toMatchObject({ outcome: "completed", charged: 5 });
    expect(text).toBe((await readHere(runId)).text);
  });

  it("at the end of a run: the reader waits for the text, not only for the end", async () => {
    server.sandbox.model.control.setSpeed(VERY_SLOW);
    const { runId } = await start();
    const reading = readElsewhere(runId);
    await untilRead(runId);
    await redisServer.kill();
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    expect(await ended(runId)).toMatchObject({ state: "completed" });
    // Longer than a reader waits for the end of a run whose output is complete.
    await sleep(3_000);
    await redisServer.start();
    const { text, end } = await reading;
    expect(end).toMatchObject({ outcome: "completed", charged: 5 });
    expect(text).toBe((await readHere(runId)).text);
  });

  it("emptied after a run: its output is sent again for who comes to read it", async () => {
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    const { runId } = await start();
    const { text } = await readHere(runId);
    expect((await readElsewhere(runId)).text).toBe(text);
    await redis.flushall();
    const again = await readElsewhere(runId);
    expect(again.text).toBe(text);
    expect(again.end).toMatchObject({ outcome: "completed", charged: 5 });
  });

  it("emptied during a run: its reader is not taken for gone", async () => {
    const runTimings = { ...TIMINGS, readerGraceMs: 10_000 };
    const patient = await openTestApp({ available, instances: 2, app: { runTimings } });
    try {
      patient.sandbox.model.control.setSpeed(VERY_SLOW);
      const someone = await patient.signIn(`${randomUUID()}@example.com`);
      const runs = twoInstances(
        () => patient,
        () => someone,
      );
      const { runId } = await runs.start();
      // A reader that was last seen some time before Redis loses everything.
      const reading = readRun(patient.instances[1]?.url ?? "", someone.accessToken, { runId }, 1);
      await untilRead(runId);
      await reading;
      await sleep(5_000);
      const emptiedAtMs = Date.now();
      const key = await markOfReader(runId);
      if (key !== undefined) await redis.del(key);
      const { endedAt } = await runs.ended(runId);
      expect(Date.parse(endedAt ?? "") - emptiedAtMs).toBeGreaterThan(8_000);
    } finally {
      await patient.close();
    }
  });
});

describe.each(databases)("two processes without Redis, $name", ({ name, url }) => {
  let server: TestApp;
  let person: SignedIn;
  const { start, view, readHere, readElsewhere } = twoInstances(
    () => server,
    () => person,
  );

  beforeAll(async () => {
    const available = describeBackend(name, url, null);
    server = await openTestApp({ available, instances: 2, app: { runTimings: TIMINGS } });
    person = await server.signIn(`${randomUUID()}@example.com`);
  });
  afterAll(() => server.close());

  it("tell a reader of the other one that the run is out of reach, and go on", async () => {
    server.sandbox.model.control.setSpeed(SLOW);
    const { runId } = await start();
    const reading = readHere(runId);
    expect((await readElsewhere(runId)).code).toBe("SERVICE_UNAVAILABLE");
    expect((await view(runId)).state).toBe("running");
    expect((await reading).end).toMatchObject({ outcome: "completed", charged: 5 });
    expect((await readElsewhere(runId)).code).toBe("SERVICE_UNAVAILABLE");
  });

  it("serve a client whole once a new connection reaches the right one", async () => {
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    const ports = server.instances.map((one) => Number(new URL(one.url).port));
    const proxy = await startTcpProxy("127.0.0.1", ports[1] ?? 0);
    const client = createClient({
      url: `http://127.0.0.1:${proxy.port}/api/trpc`,
      cookies: false,
      getAccessToken: () => person.accessToken,
    });
    const { runId } = await start();
    const received: RunEvent[] = [];
    await new Promise<void>((resolve, reject) => {
      const subscription = client.ai.stream.subscribe(
        { runId },
        {
          onConnectionStateChange({ error }) {
            if (error) proxy.moveTo(ports[0] ?? 0);
          },
          onData({ data }) {
            received.push(data);
            if (data.type !== "end") return;
            subscription.unsubscribe();
            resolve();
          },
          onError: reject,
        },
      );
    });
    await proxy.close();
    const text = received.map((event) => (event.type === "text" ? event.text : "")).join("");
    expect(text).toBe((await readHere(runId)).text);
  });
});
