// Several workers on one port: promises 8, 13 and 14 through them, and what the parent does when one of them dies.
import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createLedger } from "../../server/ledger/ledger.ts";
import { describeBackend } from "../support/databases.ts";
import { availableServers } from "../support/servers.ts";
import { freePort } from "../support/ports.ts";
import { type ServerProcess, spawnServer } from "../support/process.ts";
import { STOP_CLIENTS, stopUnderLoad } from "../support/stop-under-load.ts";
import { SERVICE_KEY, serverEnv } from "../support/server-env.ts";
import { grant } from "../support/operations.ts";
import { until } from "../support/until.ts";
import { use } from "../support/use.ts";
import { silent as logger } from "../support/silent.ts";

const WORKERS = 2;
const PATIENTLY = { withinMs: 300_000, everyMs: 20 };
const STOP_ROUNDS = process.env["FULL"] ? 50 : 1;
const METRICS_TOKEN = "metrics-token-of-the-workers-suite-0123456789";

const { databases, redis } = await availableServers();
const [database] = databases;
const mysqlUrl = database?.url ?? null;
const redisUrl = redis?.url ?? null;
// SQLite allows one writer, and without Redis the workers could not coordinate, so such a start is refused.
const hasBoth = mysqlUrl !== null && redisUrl !== null;

describe.runIf(hasBoth)(`${WORKERS} workers on ${database?.name} and ${redis?.name}`, () => {
  const opened = use(() => describeBackend("workers", mysqlUrl, redisUrl).open());
  let env: Record<string, string>;
  const running: ServerProcess[] = [];

  beforeAll(() => {
    env = serverEnv({
      WORKERS: String(WORKERS),
      LOG_LEVEL: "info",
      METRICS_TOKEN,
      STRIPE_API_BASE: "http://127.0.0.1:9",
      // Long enough for a test on a busy machine to observe readiness failing.
      SHUTDOWN_DELAY_MS: "1500",
      ...opened.env,
    });
  });
  afterEach(async () => {
    for (const server of running.splice(0)) {
      server.child.kill("SIGKILL");
      await server.exited;
    }
  });

  async function start(more: Record<string, string> = {}): Promise<ServerProcess> {
    const port = String(await freePort());
    const server = spawnServer({ ...env, PORT: port, ...more });
    running.push(server);
    await server.ready(300_000);
    return server;
  }

  /** Creates a user with that many credits, using the suite's own ledger. */
  async function userWith(credits: number): Promise<string> {
    const { backend } = opened;
    const id = randomUUID();
    const at = new Date();
    await backend.database.models.user.create({
      data: { id, email: `${id}@workers.test`, createdAt: at, updatedAt: at },
    });
    const ledger = createLedger({ ...backend, logger, tracer: null, now: Date.now });
    await ledger.submit(grant(id, `workers:${id}`, credits, { source: "SIGNUP" }));
    await ledger.close();
    return id;
  }

  test("promise 8: of 100 spends at once of a balance of 10, 10 succeed", async () => {
    const server = await start();
    const userId = await userWith(10);
    const spend = () => spendOnce(server.url, userId, randomUUID());
    const answers = await Promise.all(Array.from({ length: 100 }, spend));
    expect(answers.filter((status) => status === 200)).toHaveLength(10);
    expect(answers.filter((status) => status === 402)).toHaveLength(90);
    expect(await processesThatAnswered(server)).toBe(WORKERS);
    const user = await opened.backend.database.models.user.findUniqueOrThrow({
      where: { id: userId },
    });
    expect(user.credits).toBe(0);
  }, 900_000);

  test(
    `promise 13: ${STOP_ROUNDS} SIGTERMs under load break no request`,
    async () => {
      for (let round = 0; round < STOP_ROUNDS; round += 1) {
        const server = await start();
        const tally = await stopUnderLoad(server);
        expect(tally.broken, server.output()).toEqual([]);
        expect(tally.answered).toBeGreaterThan(STOP_CLIENTS);
        expect(tally.afterSignal).toBeGreaterThan(0);
      }
    },
    STOP_ROUNDS * 600_000,
  );

  test("promise 14: a window lets as many through as it says, whoever of the workers counts", async () => {
    const limit = 20;
    // Long enough that no window ends during the test, and an address that no other test uses.
    const server = await start({ RATE_LIMIT_MAX_REQUESTS: String(limit), TRUST_PROXY: "1" });
    const address = `203.0.113.${1 + Math.floor(Math.random() * 250)}`;
    const headers = { "x-forwarded-for": address };
    const costs = () => send(`${server.url}/api/trpc/credit.costs`, { headers });
    const before = await Promise.all(Array.from({ length: limit * 3 }, costs));
    const passed = before.filter((status) => status === 200).length;
    expect(passed).toBeGreaterThanOrEqual(limit - 1);
    expect(passed).toBeLessThanOrEqual(limit + 1);
    expect(before.filter((status) => status === 429)).toHaveLength(limit * 3 - passed);
    expect(await processesThatAnswered(server)).toBe(WORKERS);
  }, 900_000);

  test("a worker that is killed starts again, and the others go on answering", async () => {
    const server = await start();
    const [victim = 0] = listeningPids(server);
    process.kill(victim, "SIGKILL");
    await until(() => server.output().includes("a worker has crashed and starts again"), PATIENTLY);
    for (let call = 0; call < 20; call += 1) expect(await send(`${server.url}/health`)).toBe(200);
    await until(() => listeningPids(server).length === WORKERS + 1, PATIENTLY);
    await server.ready();
    expect(await workersOf(server)).toEqual({ wanted: WORKERS, listening: WORKERS });
    server.child.kill("SIGTERM");
    expect(await server.exited).toBe(0);
  }, 900_000);

  test("a worker that is asked to stop does so in order, and another takes its place", async () => {
    const server = await start();
    const [leaver = 0] = listeningPids(server);
    process.kill(leaver, "SIGTERM");
    await until(() => listeningPids(server).length === WORKERS + 1, PATIENTLY);
    expect(server.output()).toContain("a worker was stopped and starts again");
    expect(server.output()).not.toContain("crashed");
    server.child.kill("SIGTERM");
    expect(await server.exited).toBe(0);
  }, 900_000);

  test("a signal to the whole group, as a terminal sends it, is one stop", async () => {
    const server = await start();
    for (const pid of [...listeningPids(server), server.child.pid ?? 0])
      process.kill(pid, "SIGINT");
    expect(await server.exited, server.output()).toBe(0);
    expect(server.output()).not.toContain("crashed");
  }, 900_000);

  test("a worker that dies at every start ends the program with 1, loudly", async () => {
    const server = await start();
    // The newest worker is killed as soon as it is listening.
    const killed = new Set<number>();
    const [victim = 0] = listeningPids(server);
    process.kill(victim, "SIGKILL");
    killed.add(victim);
    const killing = setInterval(() => {
      const newest = listeningPids(server).at(-1) ?? 0;
      if (listeningPids(server).length < WORKERS + killed.size || killed.has(newest)) return;
      killed.add(newest);
      process.kill(newest, "SIGKILL");
    }, 20);
    const code = await server.exited;
    clearInterval(killing);
    expect(code).toBe(1);
    expect(server.output()).toContain("worker keeps crashing: giving up");
    expect(killed.size).toBeGreaterThanOrEqual(5);
  }, 900_000);

  test("the workers end with a parent that is killed", async () => {
    const server = await start();
    const pids = listeningPids(server);
    server.child.kill("SIGKILL");
    await until(() => !pids.some(isAlive), PATIENTLY);
  }, 900_000);

  test("metrics are the sum of all workers, whichever is asked", async () => {
    const server = await start();
    const calls = 40;
    for (let call = 0; call < calls; call += 1) await send(`${server.url}/api/trpc/credit.costs`);
    expect(await processesThatAnswered(server)).toBe(WORKERS);
    for (let scrape = 0; scrape < WORKERS * 2; scrape += 1) {
      const text = await metricsOf(server.url);
      const counts = text.split("\n").filter((line) => isCountOf(line, "credit.costs"));
      const sum = counts.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
      expect(sum).toBe(calls);
      // A gauge that every worker reads from the same table is not summed.
      expect(text).toContain('stripe_events_backlog{status="pending"} 0');
    }
  }, 900_000);

  test("a port that is taken is one sentence and exit 1, with several workers too", async () => {
    const first = await start();
    const { port } = new URL(first.url);
    const second = spawnServer({ ...env, PORT: port });
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`Port ${port} is taken`);
    expect(second.output()).not.toContain("crashed");
    expect(await send(`${first.url}/health`)).toBe(200);
  }, 900_000);
});

/** Makes a call on a new connection, so that the next worker gets it. */
function send(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<number> {
  const { method = "GET", headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent: false, method, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0));
      answer.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const spendOnce = (url: string, userId: string, idempotencyKey: string) =>
  send(`${url}/api/trpc/service.spend`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${SERVICE_KEY}` },
    body: JSON.stringify({ userId, feature: "chat-flash", idempotencyKey }),
  });

async function metricsOf(url: string): Promise<string> {
  const answer = await fetch(`${url}/metrics`, {
    headers: { authorization: `Bearer ${METRICS_TOKEN}`, connection: "close" },
  });
  expect(answer.status).toBe(200);
  return answer.text();
}

const isCountOf = (line: string, route: string) =>
  line.startsWith("http_request_duration_seconds_count{") && line.includes(route);

async function workersOf({ url }: ServerProcess): Promise<unknown> {
  const answer = (await (await fetch(`${url}/ready`)).json()) as { workers: unknown };
  return answer.workers;
}

/** The log's lines, skipping those that are not JSON. */
function logLines(server: ServerProcess): { pid: number; msg?: string }[] {
  return server
    .output()
    .split("\n")
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as { pid: number; msg?: string }];
      } catch {
        return [];
      }
    });
}

/** The pid of every worker that has listened so far, oldest first. */
const listeningPids = (server: ServerProcess) =>
  logLines(server).flatMap(({ pid, msg }) => (msg === "listening" ? [pid] : []));

/** Waits until several processes have logged a request (one would prove nothing); resolves with their number. */
async function processesThatAnswered(server: ServerProcess): Promise<number> {
  const pids = () =>
    // Successful or refused: of many simultaneous spends, all that succeed may have met the same worker.
    new Set(logLines(server).flatMap(({ pid, msg }) => (msg?.startsWith("request ") ? [pid] : [])));
  await until(() => pids().size > 1, PATIENTLY);
  return pids().size;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
