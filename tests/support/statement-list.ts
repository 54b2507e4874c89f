// The list of the program's raw SQL for MySQL and MariaDB: each statement with parameters, and the rows it is meant to lock.
import type { Database } from "../../server/database/ports.ts";
import { databaseNow } from "../../server/database/clock.ts";
import { createSessionStore } from "../../server/auth/session/session.store.ts";
import { searchUsers } from "../../server/admin/search.store.ts";
import { readStats } from "../../server/admin/stats.store.ts";
import { RETENTIONS } from "../../server/jobs/retention.ts";
import { createCreditStore } from "../../server/credit/credit.store.ts";
import { createDatabaseSql, parseMysqlUrl } from "../../server/database/mysql/options.ts";
import { MIGRATIONS_TABLE, READ_APPLIED } from "../../server/database/migrations/mysql.ts";
import { LOCK_TABLE, TAKE_LOCK } from "../../server/database/migrations/mysql-lock.ts";
import { AUDIT_SQL, sumsSql } from "../../server/ledger/audit/audit.store.ts";
import { GROUP, sqlWords } from "../../server/ledger/audit/check.ts";
import { doctorChecks, ENTRY_COUNTS } from "../../server/ledger/audit/checks.ts";
import { KEY_SQL } from "../../server/ledger/audit/keys.ts";
import { walkSql } from "../../server/ledger/audit/walk.ts";
import { createExpiryStore } from "../../server/ledger/store/expiry.store.ts";
import { LEDGER_SQL } from "../../server/ledger/store/sql.ts";
import { CREDIT_TOTALS_SQL } from "../../server/ledger/totals/credit-totals.store.ts";
import { USAGE_TOTALS_SQL } from "../../server/ledger/totals/usage-totals.store.ts";

/** One statement. */
export interface Statement {
  readonly name: string;
  readonly sql: string;
  readonly params: readonly unknown[];
  /** The ids of the rows it is meant to lock, by table; of rows that were there before it. Nothing unless told. */
  readonly locks: Readonly<Record<string, readonly string[]>>;
  /** True where it may not stand in a transaction, or ends it. */
  readonly alone: boolean;
}

type Options = Partial<Pick<Statement, "locks" | "alone">>;

const statement = (
  name: string,
  sql: string,
  params: readonly unknown[] = [],
  { locks = {}, alone = false }: Options = {},
): Statement => ({ name, sql, params, locks, alone });

const AT = "2026-01-31 12:00:00.000";
const json = (...rows: readonly unknown[][]) => [JSON.stringify(rows)];

/** Parameters and locks of the ledger's statements: the compiler misses a name that is not here. */
const LEDGER: Record<keyof typeof LEDGER_SQL.mysql, [readonly unknown[], Statement["locks"]?]> = {
  lockUsers: [json(["u1"], ["u3"]), { users: ["u1", "u3"] }],
  openLots: [json(["u1"])],
  lotsByGrantKey: [json(["key-g1"])],
  keys: [json(["u1", "k1"])],
  activeHolds: [json(["u1"])],
  holdsById: [json(["h1", "u1"])],
  updateUsers: [json(["u2", 5, 0, 1, 1, "{}"]), { users: ["u2"] }],
  insertLots: [["g9", "u1", 5, 5, 1, "GIFT", null, "key-g9", null, AT]],
  updateLots: [json(["g1", 3, 1]), { credit_grants: ["g1"] }],
  insertHolds: [
    ["h9", "u1", 1, null, "ACTIVE", "chat-pro", "v", "k", null, "[]", null, AT, AT, null],
  ],
  updateHolds: [json(["h1", "SETTLED", 1, "t1", "k1", AT]), { credit_holds: ["h1"] }],
  insertEntries: [["u1", 9, "e9", 5, 5, "GIFT", null, null, "[]", null, null, null, AT]],
  insertMovements: [[AT, "m9", "GIFT", 5, 0]],
  insertUsage: [["x9", "u1", "chat-pro", "m", 5, 10, 1, null, 7, null, AT]],
  insertKeys: [["u1", "k9", "hash", "{}", AT]],
};

/** What `work` sends as raw queries, each text once; they find a row that says nothing. */
async function recorded(
  name: string,
  work: (database: Database) => Promise<unknown>,
): Promise<Statement[]> {
  const sent = new Map<string, Statement>();
  const read = (sql: string, params: readonly unknown[]) => {
    if (!sent.has(sql)) sent.set(sql, statement(`${name} ${sent.size + 1}`, sql, params));
    return Promise.resolve([{ id: "u1", createdAt: AT, now: AT, lotId: null, entryCounts: "{}" }]);
  };
  const models = {
    user: { findFirst: () => Promise.resolve(null) },
    rollUp: { findUnique: () => Promise.resolve({ rolledTo: new Date(AT) }) },
    $queryRawUnsafe: (sql: string, ...params: unknown[]) => read(sql, params),
  };
  await work({ dialect: "mysql", models, read } as unknown as Database).catch(() => null);
  if (sent.size === 0) throw new Error(`${name} sent nothing`);
  return [...sent.values()];
}

/** Every statement; `created` is the name of the database one of them creates. */
export async function listStatements(created: string): Promise<Statement[]> {
  const range = (sql: string) =>
    Array.from({ length: sql.split("?").length - 1 }, (_, i) => (i % 2 ? "\u{10FFFF}" : ""));
  const unverified = (what: "unverified" | "list") =>
    what === "list"
      ? json(["u1", 0, 0])
      : ["u1", "u1", ...Array.from({ length: GROUP }, () => ["u1", 0]).flat()];
  return [
    ...Object.entries(LEDGER).map(([name, [params, locks = {}]]) =>
      statement(`ledger ${name}`, LEDGER_SQL.mysql[name as keyof typeof LEDGER], params, { locks }),
    ),
    ...doctorChecks("mysql", 1).map(({ invariant, takes, sql }) =>
      statement(
        `doctor ${invariant}`,
        `${sql} LIMIT 100`,
        takes?.flatMap(unverified) ?? range(sql),
      ),
    ),
    statement("doctor page", AUDIT_SQL.mysql.page, [AT, "", 500]),
    statement("doctor holds", AUDIT_SQL.mysql.holds, ["", "u9"]),
    statement("doctor hold ends", AUDIT_SQL.mysql.holdEnds, ["", "u9"]),
    statement("doctor hold ends of users", AUDIT_SQL.mysql.holdEndsOfUsers, json(["u1", 0, 0])),
    statement("doctor walk", walkSql("mysql", 1).ofRange, ["", "u9", 5]),
    statement("doctor walk of users", walkSql("mysql", 1).ofUsers, [
      ...unverified("unverified"),
      5,
    ]),
    statement("doctor walk of one", walkSql("mysql", 1).ofUser, ["u1", 0, 5]),
    statement("doctor sums", sumsSql(sqlWords("mysql", 1)), [
      ...unverified("list"),
      ...unverified("unverified"),
    ]),
    statement("doctor goes on", AUDIT_SQL.mysql.advance, json(["u1", 1, 2, 5, 0, 0, AT, AT])),
    statement("doctor remembers", AUDIT_SQL.mysql.add, json(["u9", null, 2, 5, 0, 0, AT, AT])),
    statement("doctor entry counts", ENTRY_COUNTS, range(ENTRY_COUNTS)),
    statement("doctor keys of a range", KEY_SQL.mysql.ofRange, ["", "u9", 5]),
    statement("doctor keys", KEY_SQL.mysql.ofUsers, [...json(["u1", AT, AT]), 5]),
    statement("doctor keys of one", KEY_SQL.mysql.ofUser, [AT, "u1", "", AT, 5]),
    statement("doctor keys dangling", KEY_SQL.mysql.dangling, json([0, "u1", 1, "e1", null])),
    ...(await recorded("overdue holds", (db) => createExpiryStore(db).overdueHolds(1, null, 10))),
    ...(await recorded("expired lots", (db) => createExpiryStore(db).expiredLots(1, null, 10))),
    ...RETENTIONS.flatMap(({ job, table, since }) => [
      statement(job, `DELETE FROM ${table} WHERE ${since} < ? ORDER BY ${since} LIMIT 100`, [
        "2001-01-01 00:00:00.000",
      ]),
      statement(`oldest of ${job}`, `SELECT MIN(${since}) AS oldest FROM ${table}`),
    ]),
    ...(await recorded("balance", (db) => createCreditStore(db).balance("u1"))),
    ...(await recorded("usage", (db) =>
      createCreditStore(db).usage("u1", [{ originMs: 0, fromMs: 1, toMs: Date.UTC(2030, 0) }]),
    )),
    statement("usage counted", USAGE_TOTALS_SQL.mysql.count, [AT, AT, "", "u9"]),
    statement("usage by calls", USAGE_TOTALS_SQL.mysql.calls, [AT, "u1", AT, AT]),
    statement("usage by totals", USAGE_TOTALS_SQL.mysql.totals, [0, "u1", 0, 9]),
    statement("movements added up", CREDIT_TOTALS_SQL.mysql.addMovements, json([AT, "m1"])),
    statement("movements deleted", CREDIT_TOTALS_SQL.mysql.deleteMovements, json([AT, "m1"]), {
      locks: { credit_movements: ["m1"] },
    }),
    statement("entries added up", CREDIT_TOTALS_SQL.mysql.addEntries, [...json(["u1", 1]), AT]),
    statement("entries as movements", CREDIT_TOTALS_SQL.mysql.moveEntries, [
      ...json(["u1", 1]),
      AT,
    ]),
    statement("entries marked as added up", CREDIT_TOTALS_SQL.mysql.advance, json(["u1", 0, 1]), {
      locks: { users: ["u1"] },
    }),
    statement("movements", CREDIT_TOTALS_SQL.mysql.movements, [0, 9, AT, AT, AT, AT]),
    statement("counted movements", CREDIT_TOTALS_SQL.mysql.countedMovements, [0, 9, AT, AT]),
    ...(await recorded("search", (db) =>
      searchUsers(db, {
        text: "ada",
        role: "USER",
        limit: 5,
        place: { at: new Date(), id: "u9" },
      }),
    )),
    ...(await recorded("figures", (db) => readStats(db, new Date(0), new Date()))),
    ...(await recorded("clock", (db) => databaseNow(db))),
    ...(await recorded("authorities", (db) => createSessionStore(db).statuses(["s1", "s2"]))),
    statement("one user's lock", "SELECT id FROM users WHERE id = ? FOR UPDATE", ["u1"], {
      locks: { users: ["u1"] },
    }),
    statement(
      "administrators' locks",
      "SELECT id FROM users WHERE role = ? AND disabledAt IS NULL AND deletedAt IS NULL ORDER BY id FOR UPDATE",
      ["ADMIN"],
      { locks: { users: ["u2"] } },
    ),
    ...migrationStatements(),
    ...parseMysqlUrl("mysql://localhost/any").sessionSql.map((sql) =>
      statement("session", sql, [], { alone: true }),
    ),
    statement("lane", "SET SESSION autocommit = 1", [], { alone: true }),
    statement("commit", "COMMIT", [], { alone: true }),
    statement("rollback", "ROLLBACK", [], { alone: true }),
    statement("sign of life", "SELECT 1"),
    statement("check", "SELECT 1 FROM _prisma_migrations LIMIT 1"),
    statement("create database", createDatabaseSql(created), [], { alone: true }),
  ];
}

/** Run for real by migrating; here once more, prepared. */
function migrationStatements(): Statement[] {
  const name = "CONCAT('skywork_migrate:', LEFT(SHA2(DATABASE(), 256), 32))";
  const id = "00000000-0000-0000-0000-000000000000";
  return [
    statement("Galera?", "SHOW VARIABLES LIKE 'wsrep_on'"),
    statement("name lock", `SELECT GET_LOCK(${name}, ?) AS taken`, [1]),
    statement("name unlock", `SELECT RELEASE_LOCK(${name})`),
    statement("lock table", LOCK_TABLE, [], { alone: true }),
    statement("row lock", TAKE_LOCK, [id]),
    statement("row held?", "SELECT 1 FROM _skywork_migration_lock WHERE holder = ?", [id]),
    statement("row unlock", "DELETE FROM _skywork_migration_lock WHERE holder = ?", [id]),
    statement(
      "migration session",
      "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1",
      [],
      { alone: true },
    ),
    statement("migrations table", MIGRATIONS_TABLE, [], { alone: true }),
    statement("migrations applied", READ_APPLIED),
    statement(
      "migration begun",
      "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, applied_steps_count) VALUES (?, ?, ?, ?, 0)",
      [id, "c", "n", AT],
    ),
    statement("step done", "UPDATE _prisma_migrations SET applied_steps_count = ? WHERE id = ?", [
      1,
      id,
    ]),
    statement(
      "migration done",
      "UPDATE _prisma_migrations SET finished_at = ?, applied_steps_count = 1, logs = NULL WHERE id = ?",
      [AT, id],
    ),
    statement("migration failed", "UPDATE _prisma_migrations SET logs = ? WHERE id = ?", [
      "why",
      id,
    ]),
  ];
}
