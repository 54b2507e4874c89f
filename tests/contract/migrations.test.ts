// Migrating is safe when run twice simultaneously, after a crash, and when a file has changed, as with Prisma.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Backend } from "../../server/infrastructure.ts";
import { migrateMysql } from "../../server/database/migrations/mysql.ts";
import { parseMysqlUrl } from "../../server/database/mysql/options.ts";
import {
  planMigrations,
  readMigrations,
  splitStatements,
} from "../../server/database/migrations/plan.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { createConnection } from "mariadb";
import { freshSqlite, openAt } from "../support/databases.ts";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql } from "../support/mysql-databases.ts";
import { silent as logger } from "../support/silent.ts";

const { databases } = await availableServers();

interface Row {
  migration_name: string;
  checksum: string;
  finished: number;
  applied_steps_count: number;
}

const ROWS = `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished, applied_steps_count
  FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY started_at`;

async function expectMigratedOnce(backend: Backend): Promise<void> {
  const { dialect } = backend.database;
  const rows = await backend.database.rawTransaction((sql) => sql.query<Row>(ROWS, []));
  const migrations = await readMigrations(dialect);
  expect(rows).toEqual(
    migrations.map(({ name, checksum }) => ({
      migration_name: name,
      checksum,
      finished: 1,
      applied_steps_count: 1,
    })),
  );
  expect(await backend.database.models.plan.count()).toBe(6);
  expect(await backend.database.models.creditPackage.count()).toBe(3);
}

const FRESH: [string, () => Promise<FreshDatabase>][] = [
  ["SQLite", freshSqlite],
  ...databases.map(({ name, url }): [string, () => Promise<FreshDatabase>] => [
    name,
    () => freshMysql(url),
  ]),
];

for (const [name, fresh] of FRESH) {
  describe(`migrating ${name}`, () => {
    test("applies each migration once when four instances start at once on an empty database", async () => {
      const database = await fresh();
      const backends = await Promise.all(Array.from({ length: 4 }, () => openAt(database.url)));
      for (const backend of backends) await expectMigratedOnce(backend);
      await Promise.all(backends.map((backend) => backend.close()));
      await database.drop();
    });

    test("starting again applies nothing and keeps an operator's prices", async () => {
      const database = await fresh();
      const first = await openAt(database.url);
      const where = { id: "pkg_small" };
      await first.database.models.creditPackage.update({
        where,
        data: { price: 777, isActive: false },
      });
      await first.database.models.plan.delete({ where: { id: "plan_team_year" } });
      await first.close();
      const second = await openAt(database.url);
      await expectMigratedOnce(second);
      const kept = await second.database.models.creditPackage.findUniqueOrThrow({ where });
      expect(kept).toMatchObject({ price: 777, isActive: false, credits: 100, currency: "usd" });
      await second.close();
      await database.drop();
    });

    test("a file changed after it was applied is refused, with what to do", async () => {
      const database = await fresh();
      const backend = await openAt(database.url);
      await backend.database.rawTransaction((sql) =>
        sql.execute("UPDATE _prisma_migrations SET checksum = ?", ["0".repeat(64)]),
      );
      await backend.close();
      await expect(openAt(database.url)).rejects.toThrow(
        /was changed after it was applied.*new migration/s,
      );
      await database.drop();
    });
  });
}

describe.each(databases)("a migration of $name that stopped halfway", (server) => {
  async function connect(url: string) {
    return createConnection(parseMysqlUrl(url).connection);
  }

  /** Leaves the database as a crash in the first migration would: `done` statements run, `noted` of them recorded. */
  async function crashed(done: number, noted: number): Promise<FreshDatabase> {
    const database = await freshMysql(server.url);
    const connection = await connect(database.url);
    await migrateMysql(connection, logger);
    const [migration] = await readMigrations("mysql");
    const tables: { name: string }[] = await connection.query(
      "SELECT TABLE_NAME AS name FROM information_schema.tables WHERE table_schema = DATABASE()",
    );
    for (const table of tables) {
      if (table.name !== "_prisma_migrations") await connection.query(`DROP TABLE ${table.name}`);
    }
    for (const statement of migration?.statements.slice(0, done) ?? [])
      await connection.query(statement);
    await connection.query("DELETE FROM _prisma_migrations WHERE migration_name <> ?", [
      migration?.name,
    ]);
    await connection.query(
      "UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = ?",
      [noted],
    );
    await connection.end();
    return database;
  }

  test.each([
    ["between two statements", 5, 5],
    ["between a statement and the note of it", 6, 5],
    ["before the first statement", 0, 0],
  ])("goes on where it stopped: %s", async (_when, done, noted) => {
    const database = await crashed(done, noted);
    const backend = await openAt(database.url);
    await expectMigratedOnce(backend);
    await backend.close();
    await database.drop();
  });

  test("what it cannot know it does not guess: it says which statement and what to do", async () => {
    const database = await crashed(8, 5);
    const refused = openAt(database.url);
    await expect(refused).rejects.toThrow(
      /stopped at statement 7 of \d+.*already exists.*applied_steps_count = 7/s,
    );
    const connection = await connect(database.url);
    const [row]: { logs: string }[] = await connection.query("SELECT logs FROM _prisma_migrations");
    expect(row?.logs).toMatch(/already exists/);
    await connection.query("UPDATE _prisma_migrations SET applied_steps_count = 8");
    await connection.end();
    const backend = await openAt(database.url);
    await expectMigratedOnce(backend);
    await backend.close();
    await database.drop();
  });
});

describe.each(databases)("migrating $name, statement by statement", (server) => {
  const connect = (url: string) => createConnection(parseMysqlUrl(url).connection);

  /** Applies what is pending, but loses the connection instead of recording a step for the `at`th time. */
  async function killedAtNote(url: string, at: number): Promise<boolean> {
    const connection = await connect(url);
    const query = connection.query.bind(connection) as (
      sql: string,
      values?: unknown,
    ) => Promise<unknown>;
    let notes = 0;
    connection.query = ((sql: string, values?: unknown) => {
      if (sql.startsWith("UPDATE _prisma_migrations") && (notes += 1) >= at) connection.destroy();
      return query(sql, values);
    }) as typeof connection.query;
    try {
      await migrateMysql(connection, logger);
      return false;
    } catch (error) {
      if (notes >= at) return true;
      throw error;
    } finally {
      connection.destroy();
    }
  }

  test("goes on by itself from a kill between any statement and the note of it", async () => {
    const database = await freshMysql(server.url);
    let kills = 0;
    // Each run records the previous run's last statement, and dies after the next statement.
    while (await killedAtNote(database.url, kills === 0 ? 1 : 2)) kills += 1;
    const migrations = await readMigrations("mysql");
    const statements = migrations.flatMap((migration) => migration.statements);
    expect(kills).toBe(statements.length + migrations.length);
    const connection = await connect(database.url);
    const [rolled]: { n: bigint }[] = await connection.query("SELECT COUNT(*) AS n FROM roll_ups");
    expect(Number(rolled?.n)).toBe(2);
    await connection.end();
    const backend = await openAt(database.url);
    await expectMigratedOnce(backend);
    await backend.close();
    await database.drop();
  });

  test("a unique index that was refused is not taken for done", async () => {
    const database = await freshMysql(server.url);
    await (await openAt(database.url)).close();
    const connection = await connect(database.url);
    const last = (await readMigrations("mysql")).at(-1);
    expect(last?.statements).toHaveLength(1);
    await connection.query("DROP INDEX users_createdAt_id_email_name_idx ON users");
    await connection.query(
      "UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = 0 WHERE migration_name = ?",
      [last?.name],
    );
    const query = connection.query.bind(connection) as (
      sql: string,
      values?: unknown,
    ) => Promise<unknown>;
    connection.query = ((sql: string, values?: unknown) =>
      sql.startsWith("CREATE INDEX")
        ? Promise.reject(Object.assign(new Error("Duplicate entry"), { errno: 1062 }))
        : query(sql, values)) as typeof connection.query;
    await expect(migrateMysql(connection, logger)).rejects.toThrow(/stopped at statement 1 of 1/);
    await connection.end();
    await database.drop();
  });

  /** A database whose last migration (an index on `users`) is pending, and an open transaction that read `users`. */
  async function heldByAReader() {
    const database = await freshMysql(server.url);
    await (await openAt(database.url)).close();
    const reader = await connect(database.url);
    await reader.query("DROP INDEX users_createdAt_id_email_name_idx ON users");
    await reader.query("DELETE FROM _prisma_migrations WHERE migration_name LIKE '%_search_index'");
    await reader.beginTransaction();
    await reader.query("SELECT id FROM users");
    return { database, reader };
  }

  test("a table held by a forgotten transaction is waited for, and the site writes meanwhile", {
    timeout: 120_000,
  }, async () => {
    const { database, reader } = await heldByAReader();
    const site = await connect(database.url);
    for (const sql of parseMysqlUrl(database.url).sessionSql) await site.query(sql);
    let isOpen = false;
    const opening = openAt(database.url).finally(() => {
      isOpen = true;
    });
    const until = performance.now() + 60_000;
    let blockedMs = 0;
    for (let n = 0; blockedMs <= 300 && performance.now() < until; n += 1) {
      const startedAt = performance.now();
      await site.query("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, NOW(3))", [
        `site-${n}`,
        `site-${n}@example.com`,
      ]);
      blockedMs = Math.max(blockedMs, performance.now() - startedAt);
      await sleep(20);
    }
    expect(blockedMs, "the migration tried meanwhile").toBeGreaterThan(300);
    expect(isOpen).toBe(false);
    await reader.commit();
    const backend = await opening;
    await expectMigratedOnce(backend);
    await Promise.all([backend.close(), reader.end(), site.end()]);
    await database.drop();
  });

  test("the migrations' own table is waited for, too, where a dump holds it", async () => {
    const { database, reader } = await heldByAReader();
    await reader.query("LOCK TABLES _prisma_migrations READ");
    const opening = openAt(database.url);
    await sleep(2_500);
    await reader.query("UNLOCK TABLES");
    const backend = await opening;
    await expectMigratedOnce(backend);
    await Promise.all([backend.close(), reader.end()]);
    await database.drop();
  });

  test("a table held for too long stops the migration with the statement and what to do", async () => {
    const { database, reader } = await heldByAReader();
    const connection = await connect(database.url);
    await connection.query("SET SESSION lock_wait_timeout = 1");
    const lines: string[] = [];
    const told = createLogger({
      level: "warn",
      destination: { write: (line) => lines.push(line) },
    });
    await expect(migrateMysql(connection, told, 1_500)).rejects.toThrow(
      /search_index stopped at statement 1 of 1 \(CREATE INDEX.*[Ll]ock wait timeout.*start again/s,
    );
    expect(lines.join("\n")).toMatch(/CREATE INDEX `users_.*waits for a lock/);
    await Promise.all([connection.end(), reader.end()]);
    await (await openAt(database.url)).close();
    await database.drop();
  });
});

describe("reading migrations", () => {
  test("the checksum is the file's SHA-256, as Prisma writes it", async () => {
    const [first] = await readMigrations("mysql");
    const file = new URL(`../../prisma/migrations/${first?.name}/migration.sql`, import.meta.url);
    const digest = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
    expect(first?.checksum).toBe(digest);
  });

  test("statements are split at semicolons outside quotes and comments", () => {
    const sql = `-- a; comment's quote\nCREATE TABLE \`a;b\` (x TEXT DEFAULT 'it''s; fine \\' ;');;
      /* another; */ INSERT INTO "q;" VALUES (1 - 2 / 3); SELECT ';'`;
    expect(splitStatements(sql)).toEqual([
      "CREATE TABLE `a;b` (x TEXT DEFAULT 'it''s; fine \\' ;')",
      'INSERT INTO "q;" VALUES (1 - 2 / 3)',
      "SELECT ';'",
    ]);
  });

  test("a rolled-back row does not count, and a migration only the database knows is left alone", () => {
    const migration = { name: "1_a", statements: ["SELECT 1"], checksum: "c" };
    const row = {
      id: "r",
      checksum: "old",
      finished: false,
      rolledBack: true,
      applied_steps_count: 3,
    };
    const plan = planMigrations(
      [migration],
      [
        { ...row, migration_name: "1_a" },
        { ...row, migration_name: "9_newer", finished: true, rolledBack: false },
      ],
    );
    expect(plan).toMatchObject([{ migration, from: 0, resumed: false }]);
  });
});
