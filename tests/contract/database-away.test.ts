// How the production database behaves when its server is unavailable or silent, cuts a connection, or rows are locked.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, openBackend } from "../../server/infrastructure.ts";
import type { SqlSession } from "../../server/database/ports.ts";
import { classifyDatabaseError } from "../../server/database/errors.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql } from "../support/mysql-databases.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { within } from "../support/own-time.ts";
import { deferred } from "../support/deferred.ts";
import { silent as logger } from "../support/silent.ts";
import { openAt } from "../support/databases.ts";

const { databases } = await availableServers();

describe.each(databases)("$name behind a bad network", ({ url: serverUrl }) => {
  let fresh: FreshDatabase;
  let proxy: TcpProxy;
  let backend: Backend;
  let steady: Backend;

  beforeAll(async () => {
    const server = new URL(serverUrl);
    fresh = await freshMysql(server.href);
    proxy = await startTcpProxy(server.hostname, Number(server.port || 3306));
    const through = new URL(fresh.url);
    through.host = `127.0.0.1:${proxy.port}`;
    [backend, steady] = await Promise.all([openAt(through.href), openAt(fresh.url)]);
  });

  afterAll(async () => {
    proxy.restore();
    await Promise.all([backend.close(), steady.close()]);
    await proxy.close();
    await fresh.drop();
  });

  const insert = (id: string) => (sql: SqlSession) =>
    sql.execute("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)", [id, id, new Date()]);
  const exists = async (id: string) =>
    (await steady.database.models.user.count({ where: { id } })) === 1;
  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => {
        throw new Error("it should have failed");
      },
      (error: unknown) => error,
    );

  test("a statement on a connection that something between forgot is ended, while new ones work", {
    timeout: 120_000,
  }, async () => {
    const { database } = backend;
    const { promise: isOpen, resolve: arrived } = deferred();
    const hanging = database.rawTransaction(async (sql) => {
      await insert("forgotten")(sql);
      arrived();
      proxy.forgetOpen();
      return insert("forgotten, too")(sql);
    });
    const failure = failureOf(hanging);
    await isOpen;
    expect(classifyDatabaseError(await within(30_000, () => failure))).toBe("away");
    await expect
      .poll(
        () =>
          database.rawTransaction(insert("after")).then(
            () => true,
            () => false,
          ),
        { timeout: 30_000 },
      )
      .toBe(true);
    expect(await exists("forgotten")).toBe(false);
  });

  test.each(["refuse", "silence"] as const)(
    "%s: everything fails in time, then recovers by itself",
    { timeout: 120_000 },
    async (how) => {
      await backend.database.models.user.count();
      proxy[how]();
      const [model, mixed, raw, state] = await within(30_000, () =>
        Promise.all([
          failureOf(backend.database.models.user.count()),
          failureOf(backend.database.transaction(({ sql }) => insert("never")(sql))),
          failureOf(backend.database.rawTransaction(insert("never"))),
          backend.check(),
        ]),
      );
      expect(classifyDatabaseError(model)).toBe("away");
      expect(mixed).toMatchObject({ code: "SERVICE_UNAVAILABLE" });
      expect(classifyDatabaseError(raw)).toBe("away");
      expect(state.database.status).toBe("down");

      proxy.restore();
      await expect
        .poll(
          () =>
            backend.database.rawTransaction(insert(`after ${how}`)).then(
              () => true,
              () => false,
            ),
          { timeout: 30_000, interval: 200 },
        )
        .toBe(true);
      await expect
        .poll(() => backend.check(), { timeout: 30_000 })
        .toMatchObject({ database: { status: "up" } });
      expect(await exists(`after ${how}`)).toBe(true);
      expect(await exists("never")).toBe(false);
    },
  );

  test.each([
    ["before", false],
    ["after", true],
  ] as const)(
    "cut %s the server got COMMIT: the outcome is said to be unknown",
    async (when, committed) => {
      for (const way of ["rawTransaction", "transaction"] as const) {
        const id = `${way} ${when}`;
        const work =
          way === "rawTransaction"
            ? () => backend.database.rawTransaction(insert(id))
            : () => backend.database.transaction(({ sql }) => insert(id)(sql));
        // A COM_QUERY packet with exactly this text; a new connection's "READ COMMITTED" must not match.
        proxy.cutOn("\u0003COMMIT", when);
        expect(classifyDatabaseError(await failureOf(work()))).toBe("unknownOutcome");
        expect(await exists(id)).toBe(committed);
      }
    },
  );

  test("a connection killed in mid-transaction is `away`, and nothing of it stays", async () => {
    for (const way of ["rawTransaction", "transaction"] as const) {
      const id = `killed ${way}`;
      const doomed = async (sql: SqlSession) => {
        await insert(id)(sql);
        const [row] = await sql.query<{ thread: number }>("SELECT CONNECTION_ID() AS thread", []);
        await steady.database.models.$executeRawUnsafe(`KILL ${Number(row?.thread)}`);
        await insert(`${id} again`)(sql);
      };
      const work =
        way === "rawTransaction"
          ? backend.database.rawTransaction(doomed)
          : backend.database.transaction(({ sql }) => doomed(sql));
      expect(classifyDatabaseError(await failureOf(work))).toBe("away");
      expect(await exists(id)).toBe(false);
    }
  });

  test("a statement that merely takes long is left alone", async () => {
    const slow = backend.database.rawTransaction((sql) =>
      sql.query("SELECT SLEEP(3) AS slept", []),
    );
    expect(await slow).toEqual([{ slept: 0 }]);
  });

  test("deadlocks and lock waits are conflicts in every shape they come in", async () => {
    const ids = ["lock a", "lock b"];
    for (const id of ids) await steady.database.rawTransaction(insert(id));
    const touch = (sql: SqlSession, id?: string) =>
      sql.execute("UPDATE users SET credits = credits + 1 WHERE id = ?", [id]);
    let touched = 0;
    let meet = (): void => undefined;
    const met = new Promise<void>((resolve) => (meet = resolve));
    const raw = (first?: string, second?: string) =>
      backend.database.rawTransaction(async (sql) => {
        await touch(sql, first);
        touched += 1;
        if (touched === 2) meet();
        await met;
        await touch(sql, second);
      });
    const deadlock = await Promise.allSettled([raw(ids[0], ids[1]), raw(ids[1], ids[0])]);
    const refused = deadlock.filter((result) => result.status === "rejected");
    expect(refused.map(({ reason }) => classifyDatabaseError(reason))).toEqual(["conflict"]);

    await steady.database.rawTransaction(async (sql) => {
      await touch(sql, ids[0]);
      const where = { id: ids[0] ?? "" };
      const { models } = backend.database;
      const shapes = await Promise.all([
        failureOf(models.user.update({ where, data: { credits: 1 } })),
        failureOf(models.$executeRaw`UPDATE users SET credits = 2 WHERE id = ${where.id}`),
        failureOf(backend.database.rawTransaction((session) => touch(session, ids[0]))),
      ]);
      expect(shapes.map(classifyDatabaseError)).toEqual(["conflict", "conflict", "conflict"]);
    });
  });

  test("a table that stays locked (an ALTER, a backup) is a conflict in time", {
    timeout: 60_000,
  }, async () => {
    await steady.database.rawTransaction(async (sql) => {
      await sql.query("LOCK TABLES users WRITE", []);
      const shapes = await within(30_000, () =>
        Promise.all([
          failureOf(backend.database.models.user.count()),
          failureOf(backend.database.rawTransaction(insert("table locked"))),
        ]),
      );
      expect(shapes.map(classifyDatabaseError)).toEqual(["conflict", "conflict"]);
      await sql.query("UNLOCK TABLES", []);
    });
  });

  test("transaction() gives up on a row that stays locked, with SERVICE_UNAVAILABLE, in time", {
    timeout: 60_000,
  }, async () => {
    await steady.database.rawTransaction(insert("held"));
    await steady.database.rawTransaction(async (sql) => {
      const hold = "SELECT id FROM users WHERE id = ? FOR UPDATE";
      await sql.query(hold, ["held"]);
      const work = () => backend.database.transaction((tx) => tx.sql.query(hold, ["held"]));
      expect(await within(30_000, () => failureOf(work()))).toMatchObject({
        code: "SERVICE_UNAVAILABLE",
      });
    });
  });

  test("closing does not wait for a server that has gone silent", { timeout: 60_000 }, async () => {
    const through = new URL(fresh.url);
    through.host = `127.0.0.1:${proxy.port}`;
    const doomed = await openAt(through.href);
    await Promise.all([1, 2, 3].map(() => doomed.database.models.user.count()));
    proxy.silence();
    await within(30_000, () => doomed.close());
    proxy.restore();
  });
});

describe("a start that waits for its database", () => {
  /** Opens as a production server does; `lines` is what it has logged. */
  function start(url: string, databaseWaitMs: number) {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const opening = openBackend({
      logger: createLogger({ level: "warn", destination }),
      config: { environment: "production", redis: null, database: { kind: "mysql", url } },
      databaseWaitMs,
    });
    // A rejection is observed by the test that awaits it later.
    opening.catch(() => undefined);
    return { opening, lines };
  }

  test.each(
    databases.flatMap(({ name, url }) =>
      (["refuse", "silence"] as const).map((how) => ({ name, url, how })),
    ),
  )(
    "$name, $how: it is in the log once, at once, and used as soon as it answers",
    async ({ url, how }) => {
      const server = new URL(url);
      const fresh = await freshMysql(server.href);
      const proxy = await startTcpProxy(server.hostname, Number(server.port || 3306));
      const through = new URL(fresh.url);
      through.host = `127.0.0.1:${proxy.port}`;
      try {
        proxy[how]();
        const { opening, lines } = start(through.href, 60_000);
        await expect.poll(() => lines.length, { timeout: 20_000 }).toBe(1);
        expect(lines[0]).toContain(through.host);
        // Long enough for a few more attempts.
        await sleep(1_500);
        expect(lines).toHaveLength(1);
        proxy.restore();
        const backend = await opening;
        expect((await backend.check()).database.status).toBe("up");
        await backend.close();
      } finally {
        await proxy.close();
        await fresh.drop();
      }
    },
  );

  test("one that does not come ends the start, with its sentence", async () => {
    const { opening, lines } = start("mysql://root:geheim@127.0.0.1:1/skywork", 600);
    await expect(opening).rejects.toThrow(/127\.0\.0\.1:1\/skywork.*ECONNREFUSED/s);
    expect(lines).toHaveLength(1);
  });
});

describe("a DATABASE_URL that cannot be used is explained without its password", () => {
  const open = (
    kind: "mysql" | "sqlite",
    url: string,
    environment: "production" | "test" = "production",
    databaseWaitMs = 0,
  ) =>
    openBackend({
      ...{ logger, databaseWaitMs },
      config: { environment, redis: null, database: { kind, url } },
    });

  test.each([
    [
      "mysql",
      "mysql://root:geheim@127.0.0.1:1/skywork",
      /127\.0\.0\.1:1\/skywork.*ECONNREFUSED.*host, port/s,
    ],
    ["mysql", "mysql://root:geheim@127.0.0.1:1", /names no database/],
    ["mysql", "mysql://root:ge#heim@127.0.0.1/x", /percent-encode/],
    ["mysql", "mysql://root:geheim@127.0.0.1:1/x?connection_limit=many", /connection_limit/],
    ["mysql", "mysql://root:geheim@127.0.0.1:1/x?ssl=perhaps", /ssl/],
    ["sqlite", "file:", /names no file/],
    ["sqlite", `file:${import.meta.filename}/below/x.db`, /below\/x\.db.*writable/s],
    ["sqlite", `file:${import.meta.filename}`, /not a database/],
  ] as const)("refuses %s %s and says why, without the password", async (kind, url, sentence) => {
    const error = await open(kind, url).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    const { message } = error as Error;
    expect(message).toMatch(sentence);
    expect(message).not.toMatch(/geheim/);
  });

  test.each(databases)(
    "a missing database of $name: production tells the line to run, development creates it",
    async (server) => {
      const fresh = await freshMysql(server.url);
      await fresh.drop();
      // There is no point in waiting for something that only a person can fix.
      const opening = open("mysql", fresh.url, "production", 60_000);
      await expect(opening).rejects.toThrow(/CREATE DATABASE `skywork_test_/);
      const backend = await open("mysql", fresh.url, "test");
      expect((await backend.check()).database.status).toBe("up");
      await backend.close();
      await fresh.drop();
    },
  );

  test.each(databases)("a wrong password of $name names the user, not itself", async (server) => {
    const url = new URL(server.url);
    Object.assign(url, { username: "nobody_here", password: "geheim", pathname: "/skywork" });
    const error = await open("mysql", url.href, "production", 60_000).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect((error as Error).message).toMatch(/nobody_here.*password in DATABASE_URL/);
    expect((error as Error).message).not.toMatch(/geheim/);
  });
});
