// A rolling deploy from the previous release to this one and back, through the migrations in between, under load.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "../../server/database/open.ts";
import { auditWholeLedger } from "../../server/ledger/audit/audit.ts";
import { type Built, buildServer, ROOT } from "../bench/built.ts";
import { type Balancer, startBalancer } from "../support/balancer.ts";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql } from "../support/mysql-databases.ts";
import { auditFailover } from "../support/failover-audit.ts";
import { startFailoverLoad } from "../support/failover-load.ts";
import { signInWithCredits } from "../support/failover-world.ts";
import { freePort } from "../support/ports.ts";
import { startStandIns } from "../support/process.ts";
import { type RedisServer, startRedisServer } from "../support/redis-server.ts";
import { createServerLives, type ServerLives } from "./server-crash/server-lives.ts";
import { serverEnv } from "../support/server-env.ts";
import { silent } from "../support/silent.ts";

/** The last commit of the previous release. */
const PREVIOUS_RELEASE = "668311a66e4f744e5e28aea0f631f2209b6feb54";
/** How many calls are answered between two steps. */
const CALLS = 150;
const CALLS_WITHIN_MS = 120_000;
/** How long an instance keeps accepting after SIGTERM; it must be out of rotation by then. */
const SHUTDOWN_DELAY_MS = 1_500;

const { databases } = await availableServers();
const [engine] = databases;

interface Release {
  readonly name: string;
  /** How to run it; defaults to this run's build. */
  readonly program?: readonly string[];
}

const current: Release = { name: "this release" };
let previous: Release;
let built: Built;
let database: FreshDatabase;
let redis: RedisServer;
let standIns: Awaited<ReturnType<typeof startStandIns>>;
let balancer: Balancer;
const sources = mkdtempSync(join(tmpdir(), "skywork-previous-"));
const servers: ServerLives[] = [];

beforeAll(async () => {
  if (engine === undefined) throw new Error("This suite needs a MySQL or MariaDB server.");
  built = buildServer(checkOutPrevious());
  previous = { name: "the previous release", program: [built.file("server/main")] };
  database = await freshMysql(engine.url);
  redis = await startRedisServer();
  balancer = await startBalancer();
  standIns = await startStandIns(balancer.port);
});
afterAll(async () => {
  for (const server of servers) await server.close();
  await balancer.close();
  await standIns.sandbox.close();
  await redis.kill();
  await database.drop();
  built.drop();
  rmSync(sources, { recursive: true, force: true });
});

test("rolls forward and back under load: nothing refused, lost or doubled", {
  timeout: 900_000,
}, async () => {
  let running = [await startInstance(previous), await startInstance(previous)];
  const url = `http://localhost:${balancer.port}`;
  const load = startFailoverLoad(url, await signInWithCredits(url));
  try {
    await load.flows(CALLS, CALLS_WITHIN_MS);
    for (const release of [current, previous, current]) {
      const old = running;
      running = [];
      for (const leaving of old) {
        running.push(await startInstance(release));
        // Both releases are serving now.
        await load.flows(CALLS, CALLS_WITHIN_MS);
        expect(await drain(leaving)).toBe(0);
        await load.flows(CALLS, CALLS_WITHIN_MS);
      }
      expect(await violations(), `after rolling to ${release.name}`).toEqual([]);
    }
  } finally {
    await load.stop();
  }
  const audit = await auditFailover(load, database.url);
  console.log(
    `rolling deploy: ${audit.acknowledged} spends, ${load.refusals} calls refused, ${servers.length} instances`,
  );
  expect(audit.broken).toEqual([]);
  expect(load.refusals).toBe(0);
  for (const server of running) expect(await server.stop()).toBe(0);
  for (const server of servers) expect(server.errors()).toEqual({});
});

/** Checks out the previous release's sources, with this release's packages and clients generated from its schema. */
function checkOutPrevious(): string {
  try {
    const archive = execFileSync("git", ["archive", PREVIOUS_RELEASE], {
      cwd: ROOT,
      maxBuffer: 512 * 1024 * 1024,
    });
    execFileSync("tar", ["-x", "-C", sources], { input: archive });
  } catch (error) {
    throw new Error("The previous release is not in this clone: git fetch --unshallow", {
      cause: error,
    });
  }
  symlinkSync(join(ROOT, "node_modules"), join(sources, "node_modules"));
  execFileSync(process.execPath, ["prisma/generate.mjs"], { cwd: sources, stdio: "inherit" });
  return sources;
}

/** Starts an instance and adds it to the load balancer once it is ready. */
async function startInstance({ program }: Release): Promise<ServerLives> {
  const server = createServerLives(
    serverEnv({
      DATABASE_URL: database.url,
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      JWT_EXPIRES_IN: "24h",
      ADMIN_EMAILS: "admin@example.com",
      SHUTDOWN_DELAY_MS: String(SHUTDOWN_DELAY_MS),
      ...standIns.env,
      PORT: String(await freePort()),
    }),
    program,
  );
  servers.push(server);
  await server.start();
  balancer.add(server);
  return server;
}

/** Stops an instance, takes it out of rotation once /ready fails, as a probe does, and resolves with its exit code. */
async function drain(leaving: ServerLives): Promise<number> {
  const ended = leaving.stop();
  await expect
    .poll(async () => {
      const answer = await fetch(`${leaving.url}/ready`);
      await answer.body?.cancel();
      return answer.status;
    })
    .toBe(503);
  balancer.remove(leaving);
  return ended;
}

async function violations() {
  const { database: opened, close } = await openDatabase({
    config: { environment: "test", database: { kind: "mysql", url: database.url } },
    logger: silent,
  });
  try {
    return await auditWholeLedger({ database: opened });
  } finally {
    await close();
  }
}
