// Promise 18: a metered run is produced and charged once, whatever is cut off: its reader, a proxy, Redis, its process.
import { randomInt, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startSandbox } from "../../server/sandbox/src/sandbox.ts";
import { available } from "../support/backend.ts";
import { type AvailableBackend, describeBackend } from "../support/databases.ts";
import { freePort } from "../support/ports.ts";
import { type ServerProcess, spawnServer } from "../support/process.ts";
import { createRandom, type Random } from "../support/seeded-random.ts";
import { type SignedIn, signIn, openTestApp, type TestApp } from "../support/server.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { serverEnv } from "../support/server-env.ts";
import { type Reading, readRun } from "../support/read-run.ts";

const ROUNDS = process.env["FULL"] ? 100 : 8;
const AT_ONCE = 4;
const TOKENS_PER_SECOND = 250;

/** The back end with its Redis behind a proxy, so that Redis can be made unavailable. */
async function behindProxy({ name, database, redis: direct }: AvailableBackend) {
  if (direct === null) return { available, redis: null };
  const address = new URL(direct);
  const redis = await startTcpProxy(address.hostname, Number(address.port || 6379));
  const url = `redis://127.0.0.1:${redis.port}`;
  return {
    available: describeBackend(name, database, url),
    redis,
  };
}

describe("metered runs that are cut", () => {
  let server: TestApp;
  let redis: TcpProxy | null;
  let proxies: TcpProxy[];

  beforeAll(async () => {
    const found = await behindProxy(available);
    redis = found.redis;
    server = await openTestApp({ available: found.available, instances: 2, jobs: true });
    server.sandbox.model.control.setSpeed(TOKENS_PER_SECOND);
    proxies = await Promise.all(
      server.instances.map(({ url }) => startTcpProxy("127.0.0.1", Number(new URL(url).port))),
    );
  });
  afterAll(async () => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await server.close();
    await redis?.close();
  });

  /** Reads to the end despite cuts at random points; returns the text as reassembled. */
  async function readThroughCuts(random: Random, person: SignedIn, runId: string) {
    let text = "";
    let lastEventId: string | undefined;
    for (let cuts = 0; cuts < 200; cuts += 1) {
      const proxy = proxies[random.between(0, proxies.length - 1)];
      const url = `http://127.0.0.1:${proxy?.port}`;
      const leaveAfter = random.chance(0.5) ? random.between(1, 12) : Number.POSITIVE_INFINITY;
      const cutting = setTimeout(
        () => {
          proxy?.refuse();
          proxy?.restore();
        },
        random.between(50, 900),
      );
      const reading: Reading = await readRun(
        url,
        person.accessToken,
        { runId, ...(lastEventId === undefined ? {} : { lastEventId }) },
        leaveAfter,
      );
      clearTimeout(cutting);
      text += reading.text;
      lastEventId = reading.events.at(-1)?.id ?? lastEventId;
      if (reading.end !== null) return { text, end: reading.end };
      await sleep(random.between(0, 200));
    }
    throw new Error("the run did not end");
  }

  async function round(seed: number): Promise<void> {
    const random = createRandom(seed);
    const person = await server.signIn(`${randomUUID()}@example.com`);
    const client = server.client(person.accessToken);
    const { runId } = await client.ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: `Tell me about round ${seed}` }],
      idempotencyKey: "round",
    });
    const { text, end } = await readThroughCuts(random, person, runId);
    expect(end, `seed ${seed}`).toMatchObject({ outcome: "completed", charged: 5, balance: 95 });
    const whole = await readRun(server.url, person.accessToken, { runId });
    expect(whole.text.length).toBeGreaterThan(500);
    expect(text, `seed ${seed}`).toBe(whole.text);
    const { models } = server.opened.backend.database;
    const entries = await models.creditLog.findMany({
      where: { userId: person.userId, type: "USAGE" },
    });
    expect(entries.map(({ amount }) => amount)).toEqual([-5]);
    const balance = await client.credit.balance.query();
    expect(balance).toMatchObject({ credits: 95, held: 0, available: 95 });
  }

  it(`brings the whole text once and charges once in ${ROUNDS} runs cut at random places`, async () => {
    const firstSeed = Number(process.env["SEED"] ?? randomInt(1_000_000));
    console.log(`metered runs: seed ${firstSeed}`);
    const before = server.sandbox.model.control.requests;
    let outages = 0;
    const outage = setInterval(() => {
      outages += 1;
      redis?.refuse();
      setTimeout(() => redis?.restore(), 700);
    }, 3_000);
    for (let index = 0; index < ROUNDS; index += AT_ONCE)
      await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, ROUNDS - index) }, (_, lane) =>
          round(firstSeed + index + lane),
        ),
      );
    clearInterval(outage);
    redis?.restore();
    expect(server.sandbox.model.control.requests - before).toBe(ROUNDS);
    if (redis !== null) console.log(`metered runs: ${outages} outages of Redis`);
  });
});

describe.runIf(available.redis)("a metered run whose process is killed", () => {
  it("ends as failed within 60 s for readers anywhere, is charged what was written down, and keeps its key", async () => {
    const opened = await available.open();
    const ports = [await freePort(), await freePort()];
    const callbacks = ports.map((port) => `http://127.0.0.1:${port}/api/auth/google/callback`);
    const sandbox = await startSandbox({ redirectUris: callbacks });
    // Slow enough that the run has not finished by the time its process is killed.
    sandbox.model.control.setSpeed(5);
    const servers: ServerProcess[] = ports.map((port, index) =>
      spawnServer(
        serverEnv({
          HOST: "127.0.0.1",
          PORT: String(port),
          GOOGLE_CALLBACK_URL: callbacks[index] ?? "",
          ...opened.env,
          ...sandbox.env,
        }),
      ),
    );
    try {
      const [first, second] = servers;
      if (first === undefined || second === undefined) throw new Error("two servers");
      await Promise.all(servers.map((one) => one.ready()));
      const person = await signIn(first.url, `${randomUUID()}@example.com`);
      const input = {
        feature: "chat-pro",
        messages: [{ role: "user", content: "You will not finish this" }],
        idempotencyKey: "killed",
      };
      const start = async (url: string) => {
        const answer = await fetch(`${url}/api/trpc/ai.start`, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            authorization: `Bearer ${person.accessToken}`,
          },
          body: JSON.stringify(input),
        });
        const body = (await answer.json()) as { result: { data: { runId: string } } };
        return body.result.data as { runId: string; replayed?: boolean };
      };
      const { runId } = await start(first.url);
      const reading = readRun(second.url, person.accessToken, { runId });
      // Part of it has been read, and the credits produced so far have been stored.
      await readRun(second.url, person.accessToken, { runId }, 8);
      const { aiRun } = opened.backend.database.models;
      const run = () => aiRun.findUniqueOrThrow({ where: { id: runId } });
      await expect
        .poll(async () => (await run()).producedCredits, { timeout: 60_000 })
        .toBeGreaterThanOrEqual(1);
      first.child.kill("SIGKILL");
      const killedAt = Date.now();
      const { end, text } = await reading;
      expect(Date.now() - killedAt).toBeLessThan(60_000);
      expect(text.length).toBeGreaterThan(20);
      expect(end).toMatchObject({ outcome: "failed", charged: 1, balance: 99 });
      expect(await start(second.url)).toMatchObject({ runId, replayed: true });
      const hold = await opened.backend.database.models.creditHold.findFirstOrThrow({
        where: { userId: person.userId },
      });
      expect(hold.status).toBe("SETTLED");
    } finally {
      for (const one of servers) one.child.kill("SIGKILL");
      await sandbox.close();
      await opened.close();
    }
  });
});
