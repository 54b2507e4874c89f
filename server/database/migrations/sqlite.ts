// Migrates the embedded database in one transaction, so that nothing can be left half done.
import type { Logger } from "../../lib/logger.ts";
import { type AppliedMigration, planMigrations, readMigrations } from "./plan.ts";
import type { SqliteEngine } from "../sqlite/engine.ts";

// Prisma's own table, word for word, so that `prisma migrate status` and `deploy` agree.
const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    TEXT PRIMARY KEY NOT NULL,
    "checksum"              TEXT NOT NULL,
    "finished_at"           DATETIME,
    "migration_name"        TEXT NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        DATETIME,
    "started_at"            DATETIME NOT NULL DEFAULT current_timestamp,
    "applied_steps_count"   INTEGER UNSIGNED NOT NULL DEFAULT 0
)`;

/**
 * Applies the pending migrations and returns their names. Two processes may do so concurrently: BEGIN IMMEDIATE lets
 * one in, and the other finds the work done. Throws an Error with a sentence when the operator has to decide.
 */
export async function migrateSqlite(engine: SqliteEngine, logger: Logger): Promise<string[]> {
  const migrations = await readMigrations("sqlite");
  return engine.transaction((transaction) => {
    transaction.run(MIGRATIONS_TABLE, []);
    const { rows } = transaction.run(
      `SELECT "id", "migration_name", "checksum", "finished_at", "rolled_back_at", "applied_steps_count" FROM "_prisma_migrations"`,
      [],
    );
    const pending = planMigrations(migrations, rows.map(toApplied));
    for (const { migration, id, resumed } of pending) {
      const startedAt = BigInt(Date.now());
      for (const statement of migration.statements) transaction.run(statement, []);
      // Left by another tool's failed run: SQLite rolled back its statements, only the row remained.
      if (resumed) transaction.run(`DELETE FROM "_prisma_migrations" WHERE "id" = ?`, [id]);
      transaction.run(
        `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "started_at", "finished_at", "applied_steps_count") VALUES (?, ?, ?, ?, ?, 1)`,
        [id, migration.checksum, migration.name, startedAt, BigInt(Date.now())],
      );
      logger.info({ migration: migration.name }, "migration applied");
    }
    return pending.map(({ migration }) => migration.name);
  });
}

function toApplied(row: unknown[]): AppliedMigration {
  const [id, name, checksum, finishedAt, rolledBackAt, steps] = row;
  return {
    id: String(id),
    migration_name: String(name),
    checksum: String(checksum),
    finished: finishedAt !== null,
    rolledBack: rolledBackAt !== null,
    applied_steps_count: Number(steps),
  };
}
