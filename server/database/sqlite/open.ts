// The embedded database: SQLite in a file, through Prisma and, for the ledger, directly.
import { existsSync } from "node:fs";
import { mkdir, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { DependencyState } from "../../lib/dependency-state.ts";
import type { Logger } from "../../lib/logger.ts";
import { asServerClient, CLIENT_OPTIONS } from "../client.ts";
import type { OpenDatabase, SqlSession } from "../ports.ts";
import { orServiceUnavailable, retryConflicts } from "../errors.ts";
import { migrateSqlite } from "../migrations/sqlite.ts";
import { createStatements, type Statements } from "../statements.ts";
import { createSqliteAdapter } from "./adapter.ts";
import type { SqliteResult } from "./connection.ts";
import { openSqliteEngine, type SqliteEngine, type SqliteTransaction } from "./engine.ts";
import { toSqliteValue } from "./values.ts";

// Longer than the engine's own timeout (about 5 s), so that a transaction never starts after Prisma has given up on it.
const PRISMA_TRANSACTIONS = { maxWait: 12_000, timeout: 10_000 };

/**
 * Opens and migrates the file of a `file:` URL, which it creates if `mayCreate`. Throws a plain Error with a sentence
 * when it cannot be used.
 */
export async function openEmbeddedDatabase(
  url: string,
  { logger, mayCreate }: { logger: Logger; mayCreate: boolean },
): Promise<OpenDatabase> {
  const path = sqlitePath(url);
  const statements = createStatements();
  expectFile(path, mayCreate);
  const engine = await openFile(path, statements);
  try {
    const migrated = await migrateSqlite(engine, logger);
    const { PrismaClient } = await import("../../../prisma/generated/sqlite/client.ts");
    const client = asServerClient(
      new PrismaClient({
        adapter: createSqliteAdapter(engine),
        ...CLIENT_OPTIONS,
        transactionOptions: PRISMA_TRANSACTIONS,
      }),
    );
    let closing: Promise<void> | undefined;
    return {
      migrated,
      database: {
        dialect: "sqlite",
        models: client,
        transaction: (work) =>
          orServiceUnavailable(
            retryConflicts(() =>
              client.$transaction((models) => work({ models, sql: currentSession(engine) })),
            ),
          ),
        read: async <Row>(sql: string, params: readonly unknown[]) =>
          toRecords<Row>(await engine.read(sql, params.map(toSqliteValue))),
        rawTransaction: (work) => engine.transaction((transaction) => work(sessionOf(transaction))),
        maxConcurrentRawTransactions: 1,
      },
      check: () => check(engine, logger),
      // The single writer's queue is not a pool.
      pools: () => [],
      diskSpace: () => diskSpace(path),
      onStatement: statements.observe,
      close() {
        closing ??= client.$disconnect().then(() => engine.close());
        return closing;
      },
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

async function check(engine: SqliteEngine, logger: Logger): Promise<DependencyState> {
  try {
    await engine.read("SELECT 1", []);
    return { status: "up" };
  } catch (error) {
    logger.warn({ err: error }, "the embedded database does not answer");
    return {
      status: "down",
      detail: "The database file cannot be read.",
      action:
        "See whether the file of DATABASE_URL is there and this process may read and write it.",
    };
  }
}

async function diskSpace(path: string) {
  const { bavail, blocks, bsize } = await statfs(dirname(path));
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/**
 * Returns the path in a `file:` URL; relative ones are relative to the working directory. Throws a plain Error if none.
 */
export function sqlitePath(url: string): string {
  const [withoutQuery = ""] = url.split("?");
  if (withoutQuery.startsWith("file://")) return fileURLToPath(withoutQuery);
  const path = withoutQuery.replace(/^file:/, "");
  if (path === "" || path === ":memory:") {
    throw new Error(
      `DATABASE_URL=${url} names no file. Write for example DATABASE_URL=file:./.data/skywork.db`,
    );
  }
  return resolve(path);
}

/** A missing file is an error unless it may be created: an empty database in the wrong place would look sound. */
function expectFile(path: string, mayCreate: boolean): void {
  if (mayCreate || existsSync(path)) return;
  throw new Error(
    `The database file ${path} does not exist. Check DATABASE_URL, and that the disk is mounted; for a new database run \`npm run prisma:migrate\`.`,
  );
}

async function openFile(path: string, statements: Statements): Promise<SqliteEngine> {
  try {
    await mkdir(dirname(path), { recursive: true });
    return await openSqliteEngine(path, statements);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `The database file ${path} cannot be used (${reason}). Check that DATABASE_URL names a writable SQLite file, or delete the file to start afresh.`,
      { cause: error },
    );
  }
}

/** The transaction that holds the write turn is the one Prisma has just begun: only one can hold it at a time. */
function currentSession(engine: SqliteEngine): SqlSession {
  if (engine.current === undefined) throw new Error("No transaction has the turn");
  return sessionOf(engine.current);
}

function sessionOf(transaction: SqliteTransaction): SqlSession {
  return {
    dialect: "sqlite",
    async query<Row>(sql: string, params: readonly unknown[]) {
      return toRecords<Row>(transaction.run(sql, params.map(toSqliteValue)));
    },
    async execute(sql, params) {
      return transaction.run(sql, params.map(toSqliteValue)).changes;
    },
  };
}

function toRecords<Row>({ columns, rows }: Pick<SqliteResult, "columns" | "rows">): Row[] {
  return rows.map((row) => {
    const record: Record<string, unknown> = {};
    for (const [index, column] of columns.entries()) record[column] = row[index];
    return record as Row;
  });
}
