// Every raw statement of the program runs on default installations of MySQL and MariaDB, and locks only what it should.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Connection, createConnection } from "mariadb";
import { parseSync, Visitor } from "oxc-parser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrateMysql } from "../../server/database/migrations/mysql.ts";
import { parseMysqlUrl } from "../../server/database/mysql/options.ts";
import { AUDIT_SQL } from "../../server/ledger/audit/audit.store.ts";
import { KEY_SQL } from "../../server/ledger/audit/keys.ts";
import { LEDGER_SQL } from "../../server/ledger/store/sql.ts";
import { CREDIT_TOTALS_SQL } from "../../server/ledger/totals/credit-totals.store.ts";
import { USAGE_TOTALS_SQL } from "../../server/ledger/totals/usage-totals.store.ts";
import { availableServers } from "../support/servers.ts";
import { withMysql } from "../support/mysql-databases.ts";
import { listStatements, type Statement } from "../support/statement-list.ts";
import { silent as logger } from "../support/silent.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
// SQLite's own connection and migrations, the sandbox (which has no database), and the development commands.
const ELSEWHERE =
  /^server\/(sandbox\/|database\/sqlite\/|database\/migrations\/sqlite\.ts|cli\/dev)/;
// `DELETE /api/…` is a route.
const BEGINS_AS_SQL =
  /^\s*(?!DELETE \/api\/)(?:(?:SELECT|INSERT|REPLACE|UPDATE|DELETE|WITH|SET|SHOW|CREATE|ALTER|DROP|TRUNCATE|LOCK|UNLOCK|KILL|CALL|START|SAVEPOINT|RELEASE|DO)\s|(?:COMMIT|ROLLBACK|BEGIN)\s*$)/;
const RAW_QUERY = new Set([
  ...["$queryRaw", "$executeRaw", "$queryRawUnsafe", "$executeRawUnsafe"],
  ...["query", "execute", "prepare", "batch"],
]);
const HOLE = "\u0000";

const CREATED = `skywork_test_${randomBytes(6).toString("hex")}`;
const list = await listStatements(CREATED);
const { databases } = await availableServers();

interface Piece {
  type: string;
  value?: unknown;
  quasis?: { value: { cooked?: string | null } }[];
  property?: { name?: string };
}

/** Returns every statement in the server's source. */
function sourceStatements() {
  const files = readdirSync(join(ROOT, "server"), { recursive: true, encoding: "utf8" })
    .map((file) => `server/${file.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".ts") && !ELSEWHERE.test(file));
  return files.sort().flatMap((file) => statementsOf(file, readFileSync(join(ROOT, file), "utf8")));
}

/** Returns the statements in one file. */
function statementsOf(file: string, source: string) {
  const found = new Set<string>();
  const add = (node: Piece | undefined, always: boolean) => {
    const text = textOf(node);
    if (text !== undefined && (always || BEGINS_AS_SQL.test(text))) found.add(text);
  };
  const isRaw = (callee: unknown) => RAW_QUERY.has((callee as Piece).property?.name ?? "");
  new Visitor({
    Literal: (node) => add(node, false),
    TemplateLiteral: (node) => add(node, false),
    CallExpression(node) {
      if (isRaw(node.callee)) add(node.arguments[0] as Piece | undefined, true);
    },
    TaggedTemplateExpression(node) {
      if (isRaw(node.tag)) add(node.quasi, true);
    },
  }).visit(parseSync(file, source).program);
  return [...found].map((text) => statementOf(file, text));
}

function textOf(node: Piece | undefined): string | undefined {
  if (node?.type === "Literal") return typeof node.value === "string" ? node.value : undefined;
  if (node?.type !== "TemplateLiteral") return undefined;
  const text = (node.quasis ?? []).map(({ value }) => value.cooked ?? "").join(HOLE);
  // Begins with a hole: `${sql} LIMIT 10` refers to a statement defined elsewhere.
  return text.trimStart().startsWith(HOLE) ? undefined : text;
}

function statementOf(file: string, text: string) {
  const words = oneLine(text);
  const pattern = words
    .split(HOLE)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[\\s\\S]*?");
  // What the program may append to a constant: a list of values, a limit.
  const whole = new RegExp(`^${pattern}(?: \\((?:\\?,?)+\\))?(?: LIMIT \\d+)?$`);
  return {
    /** `file: beginning of the statement` */
    where: `${file}: ${words.replaceAll(HOLE, "…").slice(0, 90)}`,
    /** Whether a complete statement, with its holes filled, is this one. */
    matches: (sql: string) => whole.test(oneLine(sql)),
  };
}

const oneLine = (text: string) => text.replace(/\s+/g, " ").trim();

test("every statement in the server's source has a row in tests/support/statement-list.ts", () => {
  // Those for SQLite only: every suite on SQLite runs them.
  const sqlite = [
    ...Object.values(LEDGER_SQL.sqlite),
    ...Object.values(KEY_SQL.sqlite),
    ...Object.values(AUDIT_SQL.sqlite),
    "DELETE FROM t WHERE rowid IN (SELECT rowid FROM t WHERE x < ? ORDER BY x LIMIT 1)",
    ...Object.values(CREDIT_TOTALS_SQL.sqlite),
    ...Object.values(USAGE_TOTALS_SQL.sqlite),
    "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') AS now",
  ];
  const known = [...list.map(({ sql }) => sql), ...sqlite];
  const source = sourceStatements();
  expect(source.length).toBeGreaterThan(40);
  const missing = source.filter((found) => !known.some((sql) => found.matches(sql)));
  expect(missing.map(({ where }) => where)).toEqual([]);
});

test("a statement is found wherever it is written, and does not pass for another", () => {
  const found = statementsOf(
    "x.ts",
    [
      "const a = `\\n  SELECT id FROM users\\n WHERE id = ${id}`;",
      'await tx.sql.query("select 1", []);',
      "await client.$queryRaw`TABLE plans`;",
      "const said = 'COMMIT takes too long';",
    ].join("\n"),
  );
  expect(found.map(({ where }) => where)).toEqual([
    "x.ts: SELECT id FROM users WHERE id = …",
    "x.ts: select 1",
    "x.ts: TABLE plans",
  ]);
  expect(found[0]?.matches("SELECT id FROM users WHERE id = ?")).toBe(true);
  expect(found[0]?.matches("SELECT id FROM users")).toBe(false);
});

const TABLES = [
  "users",
  "credit_grants",
  "credit_holds",
  "credit_logs",
  "credit_movements",
  "usage_logs",
];
const USER = "INSERT INTO users (id, email, role, updatedAt) VALUES (?, ?, ?, UTC_TIMESTAMP(3))";
const LOT =
  "INSERT INTO credit_grants (id, userId, amount, remaining, isOpen, source, grantKey, createdAt) VALUES (?, ?, 5, 5, 1, 'GIFT', ?, UTC_TIMESTAMP(3))";
const HOLD =
  "INSERT INTO credit_holds (id, userId, amount, status, lots, expiresAt, createdAt) VALUES (?, ?, 1, 'ACTIVE', '[]', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))";
const MOVEMENT =
  "INSERT INTO credit_movements (createdAt, id, type, given, taken) VALUES ('2026-01-31 12:00:00.000', ?, 'GIFT', 5, 0)";

async function fill(connection: Connection): Promise<void> {
  for (const n of [1, 2, 3, 4]) {
    await connection.query(USER, [`u${n}`, `u${n}@example.com`, n === 2 ? "ADMIN" : "USER"]);
    await connection.query(LOT, [`g${n}`, `u${n}`, `key-g${n}`]);
    await connection.query(HOLD, [`h${n}`, `u${n}`]);
    await connection.query(MOVEMENT, [`m${n}`]);
  }
}

describe.each(databases)("statements on $name", ({ url: serverUrl, engine }) => {
  const name = `skywork_test_${randomBytes(6).toString("hex")}`;
  const user = name.slice(0, 25);
  const collation = engine === "mysql" ? " COLLATE utf8mb4_0900_ai_ci" : "";
  // MySQL's own default; only recent versions of MariaDB offer it, as an option.
  const plugin = engine === "mysql" ? "IDENTIFIED WITH caching_sha2_password BY" : "IDENTIFIED BY";
  let root: Connection;
  let connection: Connection;

  beforeAll(async () => {
    await withMysql(serverUrl, `CREATE DATABASE ${name}${collation}`);
    await withMysql(serverUrl, `CREATE USER '${user}'@'%' ${plugin} 'geheim-1'`);
    await withMysql(serverUrl, `GRANT ALL ON ${name}.* TO '${user}'@'%'`);
    await withMysql(serverUrl, `GRANT CREATE, DROP ON ${CREATED}.* TO '${user}'@'%'`);
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    root = await createConnection(parseMysqlUrl(url.href).connection);
    await root.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    Object.assign(url, { username: user, password: "geheim-1" });
    const target = parseMysqlUrl(url.href);
    connection = await createConnection(target.connection);
    await migrateMysql(connection, logger);
    await fill(connection);
    for (const { sql } of list.filter(({ name: row }) => row === "lock table"))
      await connection.query(sql);
  });
  afterAll(async () => {
    await connection?.end();
    await root?.end();
    await withMysql(serverUrl, `DROP DATABASE IF EXISTS ${CREATED}`);
    await withMysql(serverUrl, `DROP DATABASE IF EXISTS ${name}`);
    await withMysql(serverUrl, `DROP USER IF EXISTS '${user}'@'%'`);
  });

  async function setMode(mode: string): Promise<void> {
    for (const sql of parseMysqlUrl("mysql://x/x").sessionSql) await connection.query(sql);
    await connection.query("SET SESSION autocommit = 1");
    await connection.query(`SET SESSION sql_mode = ${mode}`);
  }

  test.each([
    ["the program's own", "@@sql_mode"],
    ["the server's default", "@@global.sql_mode"],
    ["ONLY_FULL_GROUP_BY", "CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY')"],
  ])("each is prepared and runs with sql_mode %s", async (_mode, mode) => {
    const failed: string[] = [];
    await connection.query(`DROP DATABASE IF EXISTS ${CREATED}`);
    for (const { name: row, sql, params, alone } of list) {
      await setMode(mode);
      if (!alone) await connection.query("BEGIN");
      await connection
        .execute(sql, [...params])
        .catch((error: unknown) => failed.push(`${row}: ${String(error)}`));
      if (!alone) await connection.query("ROLLBACK");
    }
    expect(failed).toEqual([]);
  });

  /** Returns the rows that another transaction finds locked. */
  async function lockedRows(): Promise<Record<string, string[]>> {
    const locked: Record<string, string[]> = {};
    for (const table of TABLES) {
      const all: { id: string }[] = await root.query(`SELECT id FROM ${table} ORDER BY id`);
      await root.query("BEGIN");
      const free: { id: string }[] = await root.query(
        `SELECT id FROM ${table} FORCE INDEX (PRIMARY) FOR UPDATE SKIP LOCKED`,
      );
      await root.query("ROLLBACK");
      const ids = new Set(free.map(({ id }) => id));
      const held = all.map(({ id }) => id).filter((id) => !ids.has(id));
      if (held.length > 0) locked[table] = held;
    }
    return locked;
  }

  /** MySQL lists every lock: none may cover a gap, where no row exists yet. */
  async function gapLocks(): Promise<string[]> {
    const rows: { lockText: string }[] = await root.query(
      `SELECT CONCAT(l.OBJECT_NAME, ' ', l.INDEX_NAME, ' ', l.LOCK_MODE, ' ', l.LOCK_DATA) AS lockText
         FROM performance_schema.data_locks l JOIN performance_schema.threads t ON t.THREAD_ID = l.THREAD_ID
        WHERE t.PROCESSLIST_ID = ? AND l.LOCK_TYPE = 'RECORD' AND l.LOCK_MODE NOT LIKE '%REC_NOT_GAP%'`,
      [connection.threadId],
    );
    return rows.map(({ lockText }) => lockText);
  }

  test("each locks the rows that are meant, and no others", async () => {
    await setMode("@@sql_mode");
    const wrong: unknown[] = [];
    for (const row of list.filter(({ alone }: Statement) => !alone)) {
      await connection.query("BEGIN");
      await connection.query(row.sql, [...row.params]);
      const [locked, gaps] = [await lockedRows(), engine === "mysql" ? await gapLocks() : []];
      await connection.query("ROLLBACK");
      try {
        expect({ locked, gaps }).toEqual({ locked: row.locks, gaps: [] });
      } catch {
        wrong.push({ name: row.name, meant: row.locks, locked, gaps });
      }
    }
    expect(wrong).toEqual([]);
  });
});
