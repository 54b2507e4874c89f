// Migrates MySQL or MariaDB: one instance at a time, statement by statement, resumable where it stopped.
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "mariadb";
import { jitteredMs } from "../../lib/backoff.ts";
import type { Logger } from "../../lib/logger.ts";
import {
  type AppliedMigration,
  type Migration,
  type PendingMigration,
  planMigrations,
  readMigrations,
} from "./plan.ts";
import { type MigrationLock, takeMigrationLock } from "./mysql-lock.ts";
import { toSqlDate } from "../dates.ts";
import { classifyDatabaseError } from "../errors.ts";

// Prisma's own table, word for word, so that `prisma migrate status` and `deploy` agree.
export const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             DATETIME(3),
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          DATETIME(3),
    started_at              DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    applied_steps_count     INTEGER UNSIGNED NOT NULL DEFAULT 0
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`;

export const READ_APPLIED = `SELECT id, migration_name, checksum, finished_at IS NOT NULL AS finished,
        rolled_back_at IS NOT NULL AS rolledBack, applied_steps_count
   FROM _prisma_migrations`;

// Table exists 1050, column exists 1060, index exists 1061, nothing to drop 1091, no such table 1051.
const ALREADY_DONE = new Set([1050, 1060, 1061, 1091, 1051]);

/** A statement that changes rows can be recorded in its own transaction; one that changes tables cannot. */
const CHANGES_ROWS = /^(INSERT|UPDATE|DELETE|REPLACE)\b/i;

// A table that others hold (a forgotten transaction, a dump) is waited for in short tries: while a statement waits,
// everyone else's later statements on that table queue up behind it, and between two tries they get through.
const PATIENCE_MS = 600_000;
const PAUSE_MS = 3_000;

/** No such table. */
const NO_TABLE = 1146;
/** The user lacks rights on the database (1044) or on a table (1142). */
const DENIED = new Set([1044, 1142]);

/** Returns what has been applied; null before the first migration. Needs no privilege but SELECT. */
async function readApplied(connection: Connection): Promise<AppliedMigration[] | null> {
  try {
    const rows: Row[] = await connection.query(READ_APPLIED);
    return rows.map((row) => ({
      ...row,
      finished: Number(row.finished) === 1,
      rolledBack: Number(row.rolledBack) === 1,
      applied_steps_count: Number(row.applied_steps_count),
    }));
  } catch (error) {
    if (errnoOf(error) !== NO_TABLE) throw error;
    return null;
  }
}

/**
 * Applies the pending migrations and returns their names. A lock lets one instance migrate while the others wait and
 * then find the work done. DDL is not transactional here, so each statement's number is recorded before the next one
 * begins. The connection's lock_wait_timeout is how long one try blocks others; a table that others hold is waited for
 * up to `patienceMs`. Throws an Error with a sentence when the operator has to decide.
 */
export async function migrateMysql(
  connection: Connection,
  logger: Logger,
  patienceMs = PATIENCE_MS,
): Promise<string[]> {
  const migrations = await readMigrations("mysql");
  // With nothing pending, take no lock and create no table: a user who may only read and write rows can then start on a
  // migrated database.
  const before = await readApplied(connection);
  if (before !== null && planMigrations(migrations, before).length === 0) return [];
  try {
    return await applyPending({ connection, logger, patienceMs }, migrations);
  } catch (error) {
    const denied = error instanceof Error && (error.cause ?? error);
    if (!DENIED.has(errnoOf(denied))) throw error;
    throw new Error(
      "The database has migrations to apply, and the user of DATABASE_URL may not change tables. Run `npm run prisma:migrate` " +
        "with one that has CREATE, ALTER, DROP, INDEX and REFERENCES, then start again.",
      { cause: error },
    );
  }
}

interface Parts {
  readonly connection: Connection;
  readonly logger: Logger;
  readonly patienceMs: number;
}

async function applyPending(parts: Parts, migrations: readonly Migration[]): Promise<string[]> {
  const { connection, logger } = parts;
  const lock = await takeMigrationLock(connection);
  try {
    if ((await readApplied(connection)) === null) await writeMigrationRow(parts, MIGRATIONS_TABLE);
    const pending = planMigrations(migrations, (await readApplied(connection)) ?? []);
    for (const step of pending) {
      await applyMigration(parts, step, lock);
      logger.info({ migration: step.migration.name, resumed: step.resumed }, "migration applied");
    }
    return pending.map(({ migration }) => migration.name);
  } finally {
    await lock.release();
  }
}

/** Numbers arrive as number or bigint, depending on how the server declares the column. */
interface Row extends Pick<AppliedMigration, "id" | "migration_name" | "checksum"> {
  finished: number | bigint;
  rolledBack: number | bigint;
  applied_steps_count: number | bigint;
}

async function applyMigration(
  parts: Parts,
  step: PendingMigration,
  lock: MigrationLock,
): Promise<void> {
  const { migration, id, from, resumed } = step;
  if (!resumed) {
    await writeMigrationRow(
      parts,
      "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, applied_steps_count) VALUES (?, ?, ?, ?, 0)",
      [id, migration.checksum, migration.name, toSqlDate("mysql", new Date())],
    );
  }
  for (const [index, statement] of migration.statements.entries()) {
    if (index < from) continue;
    await applyStatement(parts, step, index, lock);
    if (CHANGES_ROWS.test(statement)) continue;
    await lock.keep();
    await writeMigrationRow(parts, ...stepRecord(id, index));
  }
  await writeMigrationRow(
    parts,
    "UPDATE _prisma_migrations SET finished_at = ?, applied_steps_count = 1, logs = NULL WHERE id = ?",
    [toSqlDate("mysql", new Date()), id],
  );
}

/** Returns the statement that records how far the migration has come. */
function stepRecord(id: string, index: number): [sql: string, values: unknown[]] {
  return ["UPDATE _prisma_migrations SET applied_steps_count = ? WHERE id = ?", [index + 1, id]];
}

/** Runs a statement on the migrations' own table, which a dump may lock like any other. */
function writeMigrationRow(parts: Parts, sql: string, values?: unknown[]): Promise<unknown> {
  return retryWhileLocked(parts, beginningOf(sql), () => parts.connection.query(sql, values));
}

/** Runs one statement of the migration, retrying while others hold what it needs. */
async function applyStatement(
  parts: Parts,
  step: PendingMigration,
  index: number,
  lock: MigrationLock,
): Promise<void> {
  const statement = beginningOf(step.migration.statements[index]);
  try {
    await retryWhileLocked(parts, statement, async () => {
      await lock.keep();
      await tryStatement(parts.connection, step, index);
    });
  } catch (error) {
    throw await explain(parts.connection, step, index, error);
  }
}

/** Retries `work` while others hold a table it needs, for up to `patienceMs` from the first refusal. */
async function retryWhileLocked<T>(
  { logger, patienceMs }: Parts,
  statement: string,
  work: () => Promise<T>,
): Promise<T> {
  let waitsSince: number | undefined;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      // Counted from the first refusal, not from the start: an index may be built for an hour before it needs exclusive
      // access to the table.
      waitsSince ??= performance.now();
      const waitedMs = performance.now() - waitsSince;
      if (classifyDatabaseError(error) !== "conflict" || waitedMs > patienceMs) throw error;
      logger.warn(
        { statement, waitedSeconds: Math.round(waitedMs / 1000) },
        "the migration waits for a lock on the table of this statement: end the transaction or the dump that holds it (SHOW FULL PROCESSLIST, information_schema.innodb_trx)",
      );
    }
    await sleep(jitteredMs(PAUSE_MS));
  }
}

async function tryStatement(
  connection: Connection,
  { migration, id, from, resumed }: PendingMigration,
  index: number,
): Promise<void> {
  const statement = migration.statements[index] ?? "";
  try {
    if (!CHANGES_ROWS.test(statement)) {
      await connection.query(statement);
      return;
    }
    await connection.beginTransaction();
    await connection.query(statement);
    await connection.query(...stepRecord(id, index));
    await connection.commit();
  } catch (error) {
    await connection.rollback().catch(() => {});
    // The previous run may have died between executing a statement and recording it. Only the first statement resumed
    // can be one of these.
    const doneBefore = resumed && index === from && ALREADY_DONE.has(errnoOf(error));
    if (!doneBefore) throw error;
  }
}

async function explain(
  connection: Connection,
  { migration, id }: PendingMigration,
  index: number,
  error: unknown,
): Promise<Error> {
  const reason = error instanceof Error ? error.message : String(error);
  await connection
    .query("UPDATE _prisma_migrations SET logs = ? WHERE id = ?", [reason.slice(0, 8_000), id])
    .catch(() => {});
  return new Error(
    `The migration ${migration.name} stopped at statement ${index + 1} of ${migration.statements.length} (${beginningOf(migration.statements[index])}…): ${reason} ` +
      "Statements before it are done and remembered. Mend the cause and start again to go on from this statement; " +
      `if it has been done by hand, say so with UPDATE _prisma_migrations SET applied_steps_count = ${index + 1} WHERE id = '${id}'.`,
    { cause: error },
  );
}

const beginningOf = (statement = ""): string => statement.slice(0, 80).replace(/\s+/g, " ");

function errnoOf(error: unknown): number {
  return error instanceof Error && "errno" in error ? Number(error.errno) : 0;
}
