// Migrates MySQL or MariaDB: one instance at a time, statement by statement, resumable where it stopped.
import type { Connection } from "mariadb";
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

// Table exists 1050, column exists 1060, index exists 1061, cannot drop what is gone 1091, no such table 1051.
const ALREADY_DONE = new Set([1050, 1060, 1061, 1091, 1051]);

/** No such table. */
const NO_TABLE = 1146;
/** The user may not do this to the database (1044), a table (1142). */
const DENIED = new Set([1044, 1142]);

/** What has been applied; null before the first migration. Needs no more than SELECT. */
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
 * Applies what is pending and returns their names. A lock lets one instance migrate while the others wait and then
 * find the work done. DDL is not transactional here, so each statement's number is recorded before the next begins.
 * Throws an Error with a sentence when the operator has to decide.
 */
export async function migrateMysql(connection: Connection, logger: Logger): Promise<string[]> {
  const migrations = await readMigrations("mysql");
  // A user who may only read and write rows starts on a migrated database: no lock, no table is needed for nothing.
  const before = await readApplied(connection);
  if (before !== null && planMigrations(migrations, before).length === 0) return [];
  try {
    return await applyPending(connection, migrations, logger);
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

async function applyPending(
  connection: Connection,
  migrations: readonly Migration[],
  logger: Logger,
): Promise<string[]> {
  const lock = await takeMigrationLock(connection);
  try {
    if ((await readApplied(connection)) === null) await connection.query(MIGRATIONS_TABLE);
    const pending = planMigrations(migrations, (await readApplied(connection)) ?? []);
    for (const step of pending) {
      await applyMigration(connection, step, lock);
      logger.info({ migration: step.migration.name, resumed: step.resumed }, "migration applied");
    }
    return pending.map(({ migration }) => migration.name);
  } finally {
    await lock.release();
  }
}

/** Numbers come as number or bigint, as the server declares them. */
interface Row extends Pick<AppliedMigration, "id" | "migration_name" | "checksum"> {
  finished: number | bigint;
  rolledBack: number | bigint;
  applied_steps_count: number | bigint;
}

async function applyMigration(
  connection: Connection,
  step: PendingMigration,
  lock: MigrationLock,
): Promise<void> {
  const { migration, id, from, resumed } = step;
  if (!resumed) {
    await connection.query(
      "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, applied_steps_count) VALUES (?, ?, ?, ?, 0)",
      [id, migration.checksum, migration.name, toSqlDate("mysql", new Date())],
    );
  }
  for (const [index, statement] of migration.statements.entries()) {
    if (index < from) continue;
    try {
      await connection.query(statement);
    } catch (error) {
      // The run before this one may have died between the statement and the note of it; only this one can be so.
      const doneBefore = resumed && index === from && ALREADY_DONE.has(errnoOf(error));
      if (!doneBefore) throw await explain(connection, step, index, error);
    }
    await lock.keep();
    await connection.query("UPDATE _prisma_migrations SET applied_steps_count = ? WHERE id = ?", [
      index + 1,
      id,
    ]);
  }
  await connection.query(
    "UPDATE _prisma_migrations SET finished_at = ?, applied_steps_count = 1, logs = NULL WHERE id = ?",
    [toSqlDate("mysql", new Date()), id],
  );
}

async function explain(
  connection: Connection,
  { migration, id }: PendingMigration,
  index: number,
  error: unknown,
): Promise<Error> {
  const reason = error instanceof Error ? error.message : String(error);
  const statement = migration.statements[index] ?? "";
  await connection
    .query("UPDATE _prisma_migrations SET logs = ? WHERE id = ?", [reason.slice(0, 8_000), id])
    .catch(() => {});
  return new Error(
    `The migration ${migration.name} stopped at statement ${index + 1} of ${migration.statements.length} (${statement.slice(0, 80).replace(/\s+/g, " ")}…): ${reason} ` +
      "Statements before it are done and remembered. Mend the cause and start again to go on from this statement; " +
      `if it has been done by hand, say so with UPDATE _prisma_migrations SET applied_steps_count = ${index + 1} WHERE id = '${id}'.`,
    { cause: error },
  );
}

function errnoOf(error: unknown): number {
  return error instanceof Error && "errno" in error ? Number(error.errno) : 0;
}
