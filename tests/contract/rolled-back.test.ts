// What the database has rolled back on its own stays rolled back: nothing the transaction still sends is written.
import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { DatabaseTransaction, SqlSession } from "../../server/database/ports.ts";
import { available } from "../support/backend.ts";
import { deferred } from "../support/deferred.ts";
import { useBackend } from "../support/use-app.ts";

const INSERT = "INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)";
const TOUCH = "UPDATE users SET credits = credits + 1 WHERE id = ?";

const opened = useBackend(available);

const insert = (sql: SqlSession, id: string) => sql.execute(INSERT, [id, id, new Date()]);
const create = ({ models }: DatabaseTransaction, id: string) =>
  models.user.create({ data: { id, email: id } });

async function stored(...ids: string[]): Promise<string[]> {
  const rows = await opened.backend.database.models.user.findMany({ where: { id: { in: ids } } });
  return rows.map(({ id }) => id);
}

/** Fails at `locked`, a row whose holder waits for this transaction; then tries to write `id`. */
type Work = (tx: DatabaseTransaction, locked: string, id: string) => Promise<unknown>;

const WAYS: Readonly<Record<string, Work>> = {
  "at once, whose errors nobody sees": ({ sql }, locked, id) =>
    Promise.allSettled([sql.execute(TOUCH, [locked]), insert(sql, id)]),
  "after the error was caught": async ({ sql }, locked, id) => {
    await sql.execute(TOUCH, [locked]).catch(() => undefined);
    await insert(sql, id);
  },
  "after the error of a model was caught": async (tx, locked, id) => {
    const update = tx.models.user.update({ where: { id: locked }, data: { credits: 1 } });
    await update.catch(() => undefined);
    await create(tx, id).catch(() => undefined);
  },
};

test("a transaction with a statement that failed writes nothing, although the error was caught", async () => {
  const { database } = opened.backend;
  const [before, after] = [randomUUID(), randomUUID()];
  const running = database.transaction(async ({ sql }) => {
    await insert(sql, before);
    await insert(sql, before).catch(() => undefined);
    await insert(sql, after).catch(() => undefined);
  });
  await expect(running).rejects.toThrow();
  // Reusing its connection must not bring the rows back.
  for (let again = 0; again < 10; again += 1)
    await database.transaction(({ sql }) => sql.execute(TOUCH, [after]));
  expect(await stored(before, after)).toEqual([]);
});

describe.runIf(available.dialect === "mysql")("the victim of a deadlock", () => {
  /** Makes the transaction of `work` the deadlock victim once; its retry does nothing. It writes the rows `ids`. */
  async function deadlock(work: Work, ids: { before: string; after: string }): Promise<number> {
    const { database } = opened.backend;
    const [mine, theirs] = [randomUUID(), randomUUID()];
    await database.rawTransaction((sql) => insert(sql, mine));
    await database.rawTransaction((sql) => insert(sql, theirs));
    let tries = 0;
    const { promise: isWaiting, resolve: waiting } = deferred();
    const holder = database.rawTransaction(async (sql) => {
      // InnoDB rolls back the lighter transaction, so make this one heavier.
      for (let rows = 0; rows < 30; rows += 1) await insert(sql, randomUUID());
      await sql.execute(TOUCH, [theirs]);
      const running = database.transaction(async (tx) => {
        tries += 1;
        if (tries > 1) return;
        await insert(tx.sql, ids.before);
        await tx.sql.execute(TOUCH, [mine]);
        waiting();
        await work(tx, theirs, ids.after);
      });
      await isWaiting;
      await sleep(200);
      await sql.execute(TOUCH, [mine]);
      await running;
    });
    await holder;
    return tries;
  }

  test.each(Object.entries(WAYS))("writes nothing %s", async (_way, work) => {
    const ids = { before: randomUUID(), after: randomUUID() };
    // The transaction is retried no matter how `work` handled the error.
    const tries = await deadlock(work, ids);
    const rows = await stored(ids.before, ids.after);
    expect({ tries, rows }).toEqual({ tries: 2, rows: [] });
  });
});

describe.runIf(available.dialect === "mysql")("a transaction on MySQL", () => {
  // As Galera does when another node committed first. Unlike after a deadlock, what follows is committed immediately.
  test("that was rolled back as a whole writes nothing that follows", async () => {
    const { database } = opened.backend;
    await database.models.$executeRawUnsafe(`CREATE PROCEDURE rolled_back() BEGIN
      ROLLBACK; SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END`);
    const ids = [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const;
    let tries = 0;
    await database.transaction(async (tx) => {
      tries += 1;
      if (tries > 1) return;
      await insert(tx.sql, ids[0]);
      const sent = [tx.sql.execute("CALL rolled_back()", []), insert(tx.sql, ids[1])];
      const settled = Promise.allSettled(sent);
      // Prisma itself only keeps the order of what is sent in the same turn of the event loop.
      await nextTurn();
      await Promise.allSettled([settled, insert(tx.sql, ids[2])]);
      await create(tx, ids[3]).catch(() => undefined);
      await Promise.all(sent);
    });
    const rows = await stored(...ids);
    expect({ tries, rows }).toEqual({ tries: 2, rows: [] });
  });

  test("that has ended takes no statement that was still on its way", async () => {
    const { database } = opened.backend;
    const id = randomUUID();
    let late: Promise<unknown> = Promise.resolve();
    const running = database.transaction(async ({ models }) => {
      // An upsert is three statements; the ROLLBACK follows the first.
      const row = { where: { id }, create: { id, email: id }, update: {} };
      late = models.user.upsert(row).catch(() => undefined);
      await nextTurn();
      throw new Error("no");
    });
    await expect(running).rejects.toThrow("no");
    await late;
    expect(await stored(id)).toEqual([]);
  });
});

describe.runIf(available.dialect === "sqlite")("a transaction that SQLite rolled back", () => {
  const REPLACED = INSERT.replace("INSERT", "INSERT OR ROLLBACK");

  async function goOn(sql: SqlSession, id: string): Promise<never> {
    const twice = [id, id, new Date()];
    await sql.execute(REPLACED, twice);
    await sql.execute(REPLACED, twice).catch(() => undefined);
    await insert(sql, `${id} later`);
    throw new Error("not reached");
  }

  test.each(["raw", "Prisma"])("takes no other statement (%s)", async (way) => {
    const { database } = opened.backend;
    const id = randomUUID();
    const running =
      way === "raw"
        ? database.rawTransaction((sql) => goOn(sql, id))
        : database.transaction(({ sql }) => goOn(sql, id));
    await expect(running).rejects.toThrow("UNIQUE constraint failed");
    expect(await stored(id, `${id} later`)).toEqual([]);
    await database.rawTransaction((sql) => insert(sql, id));
    expect(await stored(id)).toEqual([id]);
  });
});
