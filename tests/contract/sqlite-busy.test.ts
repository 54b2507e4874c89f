// Another process's lock on the SQLite file loses no acknowledged write (prisma#29933).
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import Libsql from "libsql";
import { beforeAll, describe, expect, test } from "vitest";
import type { SqlSession } from "../../server/database/ports.ts";
import { sqlitePath } from "../../server/database/sqlite/open.ts";
import { EMBEDDED } from "../support/databases.ts";
import { use } from "../support/use.ts";

const LOCKER = fileURLToPath(new URL("../support/sqlite-locker.mjs", import.meta.url));

describe("SQLite beside another writing process", () => {
  const opened = use(() => EMBEDDED.open());
  let path: string;
  beforeAll(() => {
    path = sqlitePath(opened.config.database.url);
  });

  /** Starts the other process and waits until it holds the lock. */
  async function lock(holdMs: number | "told", times: number): Promise<ChildProcess> {
    const child = spawn(process.execPath, [LOCKER, path, String(holdMs), String(times)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    return child;
  }

  const insertSql = "INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)";
  const insert = (id: string) => (sql: SqlSession) => sql.execute(insertSql, [id, id, new Date()]);

  /** Writes in one of the four ways that the server uses. */
  function write(id: string, way: number): Promise<unknown> {
    const { database } = opened.backend;
    switch (way % 4) {
      case 0:
        return database.models.user.create({ data: { id, email: id } });
      case 1:
        return database.rawTransaction(insert(id));
      case 2:
        return database.transaction(({ sql }) => insert(id)(sql));
      default:
        return database.transaction(({ models }) =>
          models.user.create({ data: { id, email: id } }),
        );
    }
  }

  /** Returns what a new connection sees in the file. */
  function idsInFile(): Set<string> {
    const fresh = new Libsql(path);
    try {
      return new Set(
        (fresh.prepare("SELECT id FROM users").all([]) as { id: string }[]).map(({ id }) => id),
      );
    } finally {
      fresh.close();
    }
  }

  test("writes wait for a lock; reads and the event loop do not", async () => {
    const child = await lock("told", 1);
    const exited = once(child, "exit");
    const ids = Array.from({ length: 10 }, () => randomUUID());
    let written = false;
    const writes = Promise.all(ids.map(write)).then(() => {
      written = true;
    });
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 20);
    await opened.backend.database.models.user.count();
    await expect.poll(() => ticks, { interval: 20 }).toBeGreaterThan(20);
    expect(written).toBe(false);
    child.stdin?.end();
    await writes;
    clearInterval(timer);
    await exited;
    for (const id of ids) expect(idsInFile().has(id)).toBe(true);
  });

  test("a lock that outlasts all patience is refused cleanly, and later writes are durable", async () => {
    const child = await lock("told", 1);
    const exited = once(child, "exit");
    const refused = Array.from({ length: 8 }, () => randomUUID());
    const outcomes = await Promise.allSettled(refused.map(write));
    expect(outcomes.map(({ status }) => status)).toEqual(refused.map(() => "rejected"));
    const [, , mixed] = outcomes;
    expect(mixed).toMatchObject({ reason: { code: "SERVICE_UNAVAILABLE" } });
    child.stdin?.end();
    await exited;
    const later = Array.from({ length: 40 }, () => randomUUID());
    await Promise.all(later.map(write));
    const stored = idsInFile();
    expect(later.every((id) => stored.has(id))).toBe(true);
    expect(refused.some((id) => stored.has(id))).toBe(false);
  });

  test("every acknowledged write is in the file while another process keeps taking the lock", async () => {
    const child = await lock(5, Number.POSITIVE_INFINITY);
    const exited = once(child, "exit");
    const acknowledged: string[] = [];
    let busy = 0;
    for (let way = 0; way < 20; way += 1) {
      const id = randomUUID();
      await write(id, way).then(
        () => acknowledged.push(id),
        () => (busy += 1),
      );
    }
    expect(child.exitCode).toBeNull();
    child.kill();
    await exited;
    expect(busy).toBe(0);
    const stored = idsInFile();
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
  });

  test("a process killed while it holds the lock leaves it free", async () => {
    const child = await lock(60_000, 1);
    setTimeout(() => child.kill("SIGKILL"), 300);
    const id = randomUUID();
    await write(id, 1);
    expect(idsInFile().has(id)).toBe(true);
  });
});
