// Migrations as files: the folder, the checksums, and which ones are pending. Never queries a database.
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SqlDialect } from "../dates.ts";

/** One folder of prisma/migrations. */
export interface Migration {
  name: string;
  statements: string[];
  /** SHA-256 of the file, in hex, as Prisma computes it. */
  checksum: string;
}

/** One row of `_prisma_migrations`. */
export interface AppliedMigration {
  id: string;
  migration_name: string;
  checksum: string;
  finished: boolean;
  rolledBack: boolean;
  applied_steps_count: number;
}

/**
 * A pending migration, to be run from statement `from` on. `id` is the id of its row: the interrupted run's, or a new
 * one.
 */
export interface PendingMigration {
  migration: Migration;
  id: string;
  from: number;
  resumed: boolean;
}

/** Returns the migrations of one dialect, oldest first, from the repository or from beside dist/. */
export async function readMigrations(dialect: SqlDialect): Promise<Migration[]> {
  const folder = join(findPrismaFolder(), dialect === "mysql" ? "migrations" : "sqlite/migrations");
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const bytes = await readFile(join(folder, name, "migration.sql"));
      return {
        name,
        statements: splitStatements(bytes.toString("utf8")),
        checksum: createHash("sha256").update(bytes).digest("hex"),
      };
    }),
  );
}

function findPrismaFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, "prisma");
    if (existsSync(join(candidate, "migrations"))) return candidate;
    const parent = dirname(folder);
    if (parent === folder) throw new Error("The folder prisma/migrations is missing.");
    folder = parent;
  }
}

/**
 * Returns what is pending, oldest first. Throws an Error with a sentence when a file was changed after it was applied
 * or begun. Migrations that the database knows and the folder does not are ignored: they belong to a newer release.
 */
export function planMigrations(
  migrations: readonly Migration[],
  applied: readonly AppliedMigration[],
): PendingMigration[] {
  const pending: PendingMigration[] = [];
  for (const migration of migrations) {
    const rows = applied.filter((row) => row.migration_name === migration.name && !row.rolledBack);
    const changed = rows.find((row) => row.checksum !== migration.checksum);
    if (changed !== undefined) {
      throw new Error(
        `The migration ${migration.name} was changed after it ${changed.finished ? "was applied" : "had begun"} (the database has checksum ${changed.checksum.slice(0, 12)}…, the file ${migration.checksum.slice(0, 12)}…). Restore the file and put the change into a new migration; a development database may simply be deleted.`,
      );
    }
    if (rows.some((row) => row.finished)) continue;
    const interrupted = rows[0];
    pending.push({
      migration,
      id: interrupted?.id ?? randomUUID(),
      from: interrupted?.applied_steps_count ?? 0,
      resumed: interrupted !== undefined,
    });
  }
  return pending;
}

/** Splits a script at its semicolons, respecting quotes and comments. Comments are dropped. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let text = "";
  const token =
    /'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|--[^\n]*|\/\*[\s\S]*?\*\/|;|[^'"`;/-]+|[/-]/g;
  for (const [part] of sql.matchAll(token)) {
    if (part === ";") {
      if (text.trim() !== "") statements.push(text.trim());
      text = "";
    } else if (!part.startsWith("--") && !part.startsWith("/*")) {
      text += part;
    }
  }
  if (text.trim() !== "") statements.push(text.trim());
  return statements;
}
