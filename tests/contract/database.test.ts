// The contract of Database: transactions, raw sessions, dates, keys, isolation and retries.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { SqlSession } from "../../server/database/ports.ts";
import { classifyDatabaseError } from "../../server/database/errors.ts";
import { fromSqlDate, toSqlDate } from "../../server/database/dates.ts";
import { available } from "../support/backend.ts";
import type { OpenedBackend } from "../support/databases.ts";
import { useBackend } from "../support/use-app.ts";

/** Inserts a user and returns its id. */
async function createUser({ backend }: OpenedBackend, credits = 0): Promise<string> {
  const id = randomUUID();
  await backend.database.models.user.create({ data: { id, email: `${id}@example.com`, credits } });
  return id;
}

const CREDITS = "SELECT credits FROM users WHERE id = ?";
const ADD = "UPDATE users SET credits = credits + ? WHERE id = ?";

describe("database", () => {
  const subject = useBackend(available);
  const database = () => subject.backend.database;
  const creditsOf = async (id: string) =>
    (await database().models.user.findUniqueOrThrow({ where: { id } })).credits;

  test("models and raw SQL of one transaction see each other's writes and commit together", async () => {
    const id = await createUser(subject);
    const inside = await database().transaction(async ({ models, sql }) => {
      await models.user.update({ where: { id }, data: { credits: 5 } });
      expect(await sql.execute(ADD, [2, id])).toBe(1);
      expect(await sql.query(CREDITS, [id])).toEqual([{ credits: 7 }]);
      return (await models.user.findUniqueOrThrow({ where: { id } })).credits;
    });
    expect(inside).toBe(7);
    expect(await creditsOf(id)).toBe(7);
  });

  test("an error in the work rolls everything back and comes out unchanged", async () => {
    const id = await createUser(subject);
    const refusal = new Error("no");
    const work = database().transaction(async ({ models, sql }) => {
      await models.user.update({ where: { id }, data: { credits: 5 } });
      await sql.execute(ADD, [2, id]);
      throw refusal;
    });
    await expect(work).rejects.toBe(refusal);
    const raw = database().rawTransaction(async (sql) => {
      await sql.execute(ADD, [2, id]);
      throw refusal;
    });
    await expect(raw).rejects.toBe(refusal);
    expect(await creditsOf(id)).toBe(0);
  });

  test("rawTransaction commits, and the next one starts afresh on the same connection", async () => {
    const id = await createUser(subject);
    for (let round = 0; round < 5; round += 1) {
      await database().rawTransaction((sql) => sql.execute(ADD, [1, id]));
      await database()
        .rawTransaction(async (sql) => {
          await sql.execute(ADD, [100, id]);
          throw new Error("undone");
        })
        .catch(() => undefined);
    }
    expect(await creditsOf(id)).toBe(5);
  });

  test("counts, sums and booleans are numbers in raw SQL, whichever way in", async () => {
    const id = await createUser(subject, 40);
    const sql =
      "SELECT COUNT(*) AS n, SUM(credits) AS total, MAX(credits) > 1 AS more, ? AS given FROM users WHERE id = ?";
    const read = (session: SqlSession) => session.query(sql, [true, id]);
    const expected = [{ n: 1, total: 40, more: 1, given: 1 }];
    expect(await database().rawTransaction(read)).toEqual(expected);
    expect(await database().transaction(({ sql: session }) => read(session))).toEqual(expected);
  });

  test("matched rows are counted even where nothing changes", async () => {
    const id = await createUser(subject, 3);
    const same = (session: SqlSession) =>
      session.execute("UPDATE users SET credits = 3 WHERE id = ?", [id]);
    expect(await database().rawTransaction(same)).toBe(1);
    expect(await database().transaction(({ sql }) => same(sql))).toBe(1);
  });

  test("dates are the same instant to the millisecond, written and read either way", async () => {
    const { dialect, models } = database();
    const id = await createUser(subject);
    const byPrisma = new Date("2026-02-28T23:59:59.007Z");
    await models.user.update({ where: { id }, data: { disabledAt: byPrisma } });
    const select = "SELECT disabledAt FROM users WHERE id = ? AND disabledAt = ?";
    const find = async (session: SqlSession, date: Date) => {
      const [row] = await session.query<{ disabledAt: unknown }>(select, [
        id,
        toSqlDate(dialect, date),
      ]);
      return fromSqlDate(dialect, row?.disabledAt);
    };
    expect(await database().rawTransaction((sql) => find(sql, byPrisma))).toEqual(byPrisma);
    expect(await database().transaction(({ sql }) => find(sql, byPrisma))).toEqual(byPrisma);

    const byRaw = new Date("2028-02-29T00:00:00.120Z");
    const update = "UPDATE users SET disabledAt = ?, deletedAt = ? WHERE id = ?";
    await database().rawTransaction((sql) =>
      sql.execute(update, [toSqlDate(dialect, byRaw), byRaw, id]),
    );
    const read = await models.user.findFirstOrThrow({
      where: { id, disabledAt: byRaw, deletedAt: byRaw },
    });
    expect([read.disabledAt, read.deletedAt]).toEqual([byRaw, byRaw]);
    const before = { id, disabledAt: { lt: new Date(byRaw.getTime() + 1) } };
    expect(await models.user.count({ where: before })).toBe(1);
    expect(await models.user.count({ where: { id, disabledAt: { lt: byRaw } } })).toBe(0);
  });

  test("ids and keys tell case and accents apart, and keep every character", async () => {
    const { models } = database();
    const userId = await createUser(subject);
    const row = { userId, inputHash: "h", answer: "💡 \\'\"\u0001", createdAt: new Date() };
    for (const key of ["Key", "key", "kéy", "🔑"]) {
      await models.idempotencyKey.create({ data: { ...row, key } });
    }
    expect(await models.idempotencyKey.count({ where: { userId } })).toBe(4);
    const where = { userId_key: { userId, key: "🔑" } };
    expect((await models.idempotencyKey.findUniqueOrThrow({ where })).answer).toBe(row.answer);
    const rows = await database().rawTransaction((sql) =>
      sql.query("SELECT answer FROM idempotency_keys WHERE userId = ? AND `key` = ?", [
        userId,
        "kéy",
      ]),
    );
    expect(rows).toEqual([{ answer: row.answer }]);
  });

  // Exception: SQLite's driver truncates text at a NUL character, so the embedded back end stores U+FFFD instead.
  test("a NUL character cuts nothing off", async () => {
    const id = await createUser(subject);
    await database().models.user.update({ where: { id }, data: { name: "a\0b" } });
    const { name } = await database().models.user.findUniqueOrThrow({ where: { id } });
    expect(name).toBe(available.dialect === "sqlite" ? "a\uFFFDb" : "a\0b");
  });

  test("a taken unique key is `unique`, from Prisma and from raw SQL", async () => {
    const id = await createUser(subject);
    const twice = database().models.user.create({ data: { id, email: randomUUID() } });
    const raw = database().rawTransaction((sql) =>
      sql.execute("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)", [
        id,
        id,
        new Date(),
      ]),
    );
    const mixed = database().transaction(({ sql }) =>
      sql.execute("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)", [
        id,
        id,
        new Date(),
      ]),
    );
    const outcomes = await Promise.allSettled([twice, raw, mixed]);
    const classes = outcomes.map((outcome) =>
      outcome.status === "rejected" ? classifyDatabaseError(outcome.reason) : "succeeded",
    );
    expect(classes).toEqual(["unique", "unique", "unique"]);
  });

  test("secret columns come only when asked for by name", async () => {
    const { models } = database();
    const id = randomUUID();
    const at = new Date();
    await models.session.create({
      data: { id, userId: id, refreshTokenHash: id, expiresAt: at, absoluteExpiresAt: at },
    });
    expect(await models.session.findUnique({ where: { id } })).not.toHaveProperty(
      "refreshTokenHash",
    );
    const select = { refreshTokenHash: true };
    expect(await models.session.findUnique({ where: { id }, select })).toEqual({
      refreshTokenHash: id,
    });
  });

  test("nobody reads what is not committed", async () => {
    const id = await createUser(subject, 1);
    await database().transaction(async ({ models }) => {
      await models.user.update({ where: { id }, data: { credits: 99 } });
      expect(await creditsOf(id)).toBe(1);
    });
    expect(await creditsOf(id)).toBe(99);
  });

  test("a row read under its lock is never stale: 200 increments by read and write on two instances", async () => {
    const id = await createUser(subject);
    const another = (await subject.openAnother()).database;
    const lock = database().dialect === "mysql" ? `${CREDITS} FOR UPDATE` : CREDITS;
    const increment = async (sql: SqlSession) => {
      const [row] = await sql.query<{ credits: number }>(lock, [id]);
      await sql.execute("UPDATE users SET credits = ? WHERE id = ?", [(row?.credits ?? 0) + 1, id]);
    };
    // No more callers than connections: on a busy machine an additional one might wait too long for a connection.
    await Promise.all(
      [database(), another].flatMap((instance) =>
        [1, 2, 3].map(async (caller) => {
          for (let n = caller; n <= 100; n += 3)
            await (n % 2 === 0
              ? instance.rawTransaction(increment)
              : instance.transaction(({ sql }) => increment(sql)));
        }),
      ),
    );
    expect(await creditsOf(id)).toBe(200);
  });

  test("transactions that lock two rows in opposite order all succeed", async () => {
    const [a, b] = [await createUser(subject), await createUser(subject)];
    const move = (first: string, second: string) =>
      database().transaction(async ({ models, sql }) => {
        await sql.execute(ADD, [1, first]);
        await models.user.update({ where: { id: second }, data: { credits: { increment: 1 } } });
      });
    // Fewer callers than connections: on a busy machine one more might wait too long for a connection.
    const caller = async (from: string, to: string) => {
      await move(from, to);
      await move(to, from);
    };
    const callers = Array.from({ length: 6 }, (_, n) =>
      n % 2 === 0 ? caller(a, b) : caller(b, a),
    );
    await Promise.all(callers);
    expect([await creditsOf(a), await creditsOf(b)]).toEqual([12, 12]);
  });

  test("a session kept beyond its transaction cannot write into the next one", async () => {
    const id = await createUser(subject);
    const kept: SqlSession[] = [];
    await database().transaction(async ({ sql }) => void kept.push(sql));
    const late = kept.map((sql) => sql.execute(ADD, [50, id]));
    await Promise.allSettled([
      ...late,
      database().transaction(({ sql }) => sql.execute(ADD, [1, id])),
    ]);
    expect(await creditsOf(id)).toBe(1);
  });

  test("check says up", async () => {
    expect((await subject.backend.check()).database.status).toBe("up");
  });

  test("a closed back end refuses, and closing twice is fine", async () => {
    const another = await subject.openAnother();
    await Promise.all([another.close(), another.close()]);
    const late = another.database.rawTransaction((sql) => sql.query("SELECT 1", []));
    await expect(late).rejects.toThrow();
  });
});
