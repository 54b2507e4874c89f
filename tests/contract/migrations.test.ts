// Migrating is safe twice at once, after a crash, and against a changed file, as Prisma would have it.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { type Backend, openBackend } from "../../server/infrastructure.ts";
import { migrateMysql } from "../../server/database/migrations/mysql.ts";
import { parseMysqlUrl } from "../../server/database/mysql/options.ts";
import {
  planMigrations,
  readMigrations,
  splitStatements,
} from "../../server/database/migrations/plan.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { createConnection } from "mariadb";
import { freshSqlite } from "../support/databases.ts";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql } from "../support/mysql-databases.ts";

const logger = createLogger({ level: "silent" });
const { databases } = await availableServers();

interface Row {
  migration_name: string;
  checksum: string;
  finished: number;
  applied_steps_count: number;
}

const ROWS = `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished, applied_steps_count
  FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY started_at`;

function open(url: string): Promise<Backend> {
  const kind = url.startsWith("file:") ? "sqlite" : "mysql";
  return openBackend({
    logger,
    config: { environment: "test", redis: null, database: { kind, url } },
  });
}

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
      const backends = await Promise.all(Array.from({ length: 4 }, () => open(database.url)));
      for (const backend of backends) await expectMigratedOnce(backend);
      await Promise.all(backends.map((backend) => backend.close()));
      await database.drop();
    });

    test("starting again applies nothing and keeps an operator's prices", async () => {
      const database = await fresh();
      const first = await open(database.url);
      const where = { id: "pkg_small" };
      await first.database.models.creditPackage.update({
        where,
        data: { price: 777, isActive: false },
      });
      await first.database.models.plan.delete({ where: { id: "plan_team_year" } });
      await first.close();
      const second = await open(database.url);
      await expectMigratedOnce(second);
      const kept = await second.database.models.creditPackage.findUniqueOrThrow({ where });
      expect(kept).toMatchObject({ price: 777, isActive: false, credits: 100, currency: "usd" });
      await second.close();
      await database.drop();
    });

    test("a file changed after it was applied is refused, with what to do", async () => {
      const database = await fresh();
      const backend = await open(database.url);
      await backend.database.rawTransaction((sql) =>
        sql.execute("UPDATE _prisma_migrations SET checksum = ?", ["0".repeat(64)]),
      );
      await backend.close();
      await expect(open(database.url)).rejects.toThrow(
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

  /** Leaves the database as a crash in the first migration would: `done` statements run, `noted` of them remembered. */
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
    const backend = await open(database.url);
    await expectMigratedOnce(backend);
    await backend.close();
    await database.drop();
  });

  test("what it cannot know it does not guess: it says which statement and what to do", async () => {
    const database = await crashed(8, 5);
    const refused = open(database.url);
    await expect(refused).rejects.toThrow(
      /stopped at statement 7 of \d+.*already exists.*applied_steps_count = 7/s,
    );
    const connection = await connect(database.url);
    const [row]: { logs: string }[] = await connection.query("SELECT logs FROM _prisma_migrations");
    expect(row?.logs).toMatch(/already exists/);
    await connection.query("UPDATE _prisma_migrations SET applied_steps_count = 8");
    await connection.end();
    const backend = await open(database.url);
    await expectMigratedOnce(backend);
    await backend.close();
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
