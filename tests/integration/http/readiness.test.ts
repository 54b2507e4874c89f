import { spawnSync } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection } from "mariadb";
import { describe, expect, test } from "vitest";
import type { Readiness } from "../../../server/health/health.types.ts";
import { createReadiness } from "../../../server/health/readiness.ts";
import type { Backend } from "../../../server/infrastructure.ts";
import type { JobOutcome } from "../../../server/jobs/runner.ts";
import { availableServers } from "../../support/servers.ts";
import { connectMysql, freshMysql } from "../../support/mysql-databases.ts";
import { describeBackend, openAt } from "../../support/databases.ts";
import { openTestApp } from "../../support/server.ts";
import { serve } from "../../support/ports.ts";
import { silent as logger } from "../../support/silent.ts";

const CHECK_INTERVAL_MS = 100;

interface Answer {
  readonly status: number;
  readonly body: Readiness;
}

async function ready(url: string): Promise<Answer> {
  const answer = await fetch(`${url}/ready`);
  return { status: answer.status, body: (await answer.json()) as Readiness };
}

function readinessOf(
  backend: Backend,
  { failedEvents = 0, lastDoctor = null as JobOutcome | null } = {},
): () => Promise<Readiness> {
  return createReadiness({
    ...{ backend, logger, stripe: null, clocks: [] },
    backlog: () => Promise.resolve({ pending: 0, failed: failedEvents }),
    lastDoctor: () => Promise.resolve(lastDoctor),
    isShuttingDown: () => false,
    workers: () => ({ wanted: 1, listening: 1, started: true }),
  });
}

/** Starts a server that works except for its clock: the Date of every answer is off by `offMs`. */
const startServerWithClock = (offMs: number) =>
  serve((_request, response) => {
    response.sendDate = false;
    response.setHeader("Date", new Date(Date.now() + offMs).toUTCString());
    response.end();
  });

describe("/ready", () => {
  test("a whole server is ready, and what it needs of others is looked at", async () => {
    const server = await openTestApp({ app: { checkEveryMs: CHECK_INTERVAL_MS } });
    try {
      await expect
        .poll(async () => (await ready(server.url)).body.dependencies, { timeout: 10_000 })
        .toEqual({
          database: { status: "up" },
          redis: { status: "up", detail: "in-process" },
          disk: { status: "up" },
          stripe: { status: "up" },
          clock: { status: "up" },
        });
      expect(await ready(server.url)).toMatchObject({
        status: 200,
        body: { success: true, ready: true, state: "ready", actions: [] },
      });
    } finally {
      await server.close();
    }
  });

  test("is degraded and still 200 when Stripe refuses the key, and says what to do", async () => {
    const server = await openTestApp({
      app: { checkEveryMs: CHECK_INTERVAL_MS },
      env: { STRIPE_SECRET_KEY: "sk_test_of_somebody_elses_account" },
    });
    try {
      await expect
        .poll(() => ready(server.url), { timeout: 10_000 })
        .toMatchObject({
          status: 200,
          body: {
            ready: true,
            state: "degraded",
            dependencies: { stripe: { status: "degraded" } },
            actions: [expect.stringContaining("STRIPE_SECRET_KEY")],
          },
        });
    } finally {
      await server.close();
    }
  });

  test.each([
    ["ten minutes behind", 600_000, 503, "not ready"],
    ["ten minutes ahead", -600_000, 503, "not ready"],
    ["a minute ahead", -60_000, 200, "degraded"],
  ] as const)("reports a clock %s, and says what to do", async (name, offMs, status, state) => {
    const others = await startServerWithClock(offMs);
    const server = await openTestApp({
      app: { checkEveryMs: CHECK_INTERVAL_MS },
      env: {
        STRIPE_API_BASE: others.url,
        GOOGLE_ISSUER: others.url,
        AI_BASE_URL: `${others.url}/v1`,
      },
    });
    try {
      await expect
        .poll(() => ready(server.url), { timeout: 10_000 })
        .toMatchObject({ status, body: { state } });
      const { actions, dependencies } = (await ready(server.url)).body;
      expect(dependencies.clock.detail).toContain(name.split(" ").at(-1));
      expect(actions.join(" ")).toContain("Synchronise this machine's clock");
    } finally {
      await server.close();
      await others.close();
    }
  });

  test("one clock of several that is wrong is theirs, not ours", async () => {
    const others = await startServerWithClock(600_000);
    const server = await openTestApp({
      app: { checkEveryMs: CHECK_INTERVAL_MS },
      env: { AI_BASE_URL: `${others.url}/v1` },
    });
    try {
      await expect
        .poll(async () => (await ready(server.url)).body.dependencies.clock, { timeout: 10_000 })
        .toEqual({ status: "up" });
    } finally {
      await server.close();
      await others.close();
    }
  });

  test("stays ready when events of Stripe failed, and says what to do", async () => {
    const opened = await describeBackend("embedded", null, null).open(logger);
    try {
      const { state, actions } = await readinessOf(opened.backend, { failedEvents: 2 })();
      expect(state).toBe("ready");
      expect(actions).toEqual([expect.stringContaining("npm run reconcile")]);
    } finally {
      await opened.close();
    }
  });

  test.each([
    [{ violations: 3 }, { violations: 3 }],
    [
      "Server has gone away\nsql: SELECT credits FROM users",
      'It failed: see the log, "job failed".',
    ],
  ])("says what the doctor found, and no statement: %j", async (result, told) => {
    const opened = await describeBackend("embedded", null, null).open(logger);
    try {
      const lastDoctor = { ok: false, at: new Date().toISOString(), durationMs: 1, result };
      const { doctor } = await readinessOf(opened.backend, { lastDoctor })();
      expect(doctor).toMatchObject({ ok: false });
      expect(doctor?.result).toEqual(told);
    } finally {
      await opened.close();
    }
  });

  test("is degraded, then not ready as a disk fills; ready when it empties", async ({ skip }) => {
    const folder = await mkdtemp(join(tmpdir(), "skywork-disk-"));
    const size = "size=32m";
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", size, "tmpfs", folder]).status === 0;
    if (!mounted) await rm(folder, { recursive: true });
    skip(!mounted, "a disk of one's own needs the right to mount one");
    const backend = await openAt(`file:${folder}/skywork.db`);
    try {
      const look = readinessOf(backend);
      const { bavail, bsize } = await statfs(folder);
      const state = async () => (await look()).state;
      const fill = (leaveBytes: number) =>
        writeFile(join(folder, "other"), Buffer.alloc(bavail * bsize - leaveBytes));
      expect(await state()).toBe("ready");
      await fill(8_000_000);
      await expect.poll(state, { timeout: 15_000, interval: 500 }).toBe("degraded");
      const degraded = await look();
      expect(degraded.actions).toEqual([expect.stringContaining("Free space")]);
      // /ready is public.
      expect(JSON.stringify(degraded)).not.toContain(folder);
      await fill(1_000_000);
      await expect.poll(state, { timeout: 15_000, interval: 500 }).toBe("not ready");
      await rm(join(folder, "other"));
      await expect.poll(state, { timeout: 15_000, interval: 500 }).toBe("ready");
    } finally {
      await backend.close();
      // Lazy: files that are still being closed there must not keep the mount alive.
      spawnSync("umount", ["-l", folder]);
      await rm(folder, { recursive: true, force: true });
    }
  });
});

async function endSessions(root: Connection, user: string): Promise<void> {
  const sessions = await root.query<{ id: number }[]>(
    "SELECT id FROM information_schema.processlist WHERE user = ?",
    [user],
  );
  for (const { id } of sessions) await root.query(`KILL ${Number(id)}`);
}

const { databases } = await availableServers();

describe.each(databases)("/ready on $name", ({ url }) => {
  test("is not ready when the database can be read and not written, and says what to look for", async () => {
    const fresh = await freshMysql(url);
    const root = await connectMysql(url);
    const target = new URL(fresh.url);
    const name = target.pathname.slice(1);
    const user = `ready_${name.slice(-12)}`;
    await root.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'Only-for-this-test-1'`);
    await root.query(`GRANT ALL ON \`${name}\`.* TO '${user}'@'%'`);
    target.username = user;
    target.password = "Only-for-this-test-1";
    const backend = await openAt(target.href);
    try {
      const look = readinessOf(backend);
      expect((await look()).state).toBe("ready");
      await root.query(`REVOKE INSERT, UPDATE ON \`${name}\`.* FROM '${user}'@'%'`);
      // A session's privileges are determined when it begins.
      await endSessions(root, user);
      await expect.poll(look, { timeout: 20_000, interval: 500 }).toMatchObject({
        state: "not ready",
        dependencies: {
          database: { status: "down", detail: "The database answers, and cannot be written." },
        },
        actions: [expect.stringContaining("lost its rights")],
      });
      await root.query(`ALTER USER '${user}'@'%' IDENTIFIED BY 'Another-for-this-test-2'`);
      await endSessions(root, user);
      await expect
        .poll(async () => (await look()).dependencies.database.detail, {
          timeout: 20_000,
          interval: 500,
        })
        .toBe("The database refuses our user with this password.");
    } finally {
      await backend.close();
      await root.query(`DROP USER '${user}'@'%'`);
      await root.end();
      await fresh.drop();
    }
  });
});
