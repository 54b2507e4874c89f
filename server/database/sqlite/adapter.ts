// The driver adapter through which Prisma uses the embedded database.
import type {
  SqlDriverAdapter,
  SqlDriverAdapterFactory,
  SqlQuery,
  SqlResultSet,
  Transaction,
} from "@prisma/driver-adapter-utils";
import type { SqliteResult } from "./connection.ts";
import type { SqliteEngine, SqliteTransaction } from "./engine.ts";
import { toColumnTypes, toPrismaError, toPrismaRow, toSqliteArgs } from "./values.ts";

const NAMES = { provider: "sqlite", adapterName: "skywork-sqlite" } as const;

/**
 * Returns an adapter over the engine. Prisma's single writes, its transactions and the ledger's raw transactions all
 * wait for the same write turn, at this level, so none ever gets a busy error from its own process. The caller still
 * owns the engine: Prisma disconnecting does not close it.
 */
export function createSqliteAdapter(engine: SqliteEngine): SqlDriverAdapterFactory {
  const adapter: SqlDriverAdapter = {
    ...NAMES,
    queryRaw: (query) =>
      translated(async () => {
        const run = isRead(query.sql) ? engine.read : engine.write;
        return toResultSet(await run(query.sql, toSqliteArgs(query)));
      }),
    executeRaw: (query) =>
      translated(async () => (await engine.write(query.sql, toSqliteArgs(query))).changes),
    executeScript: (script) => translated(() => engine.script(script)),
    startTransaction: () => translated(async () => toPrismaTransaction(await engine.begin())),
    getConnectionInfo: () => ({ supportsRelationJoins: false }),
    dispose: () => Promise.resolve(),
  };
  return { ...NAMES, connect: () => Promise.resolve(adapter) };
}

function toPrismaTransaction(transaction: SqliteTransaction): Transaction {
  const run = (sql: string) => translated(async () => void transaction.run(sql, []));
  return {
    ...NAMES,
    options: { usePhantomQuery: true },
    queryRaw: (query: SqlQuery) =>
      translated(async () => toResultSet(transaction.run(query.sql, toSqliteArgs(query)))),
    executeRaw: (query: SqlQuery) =>
      translated(async () => transaction.run(query.sql, toSqliteArgs(query)).changes),
    commit: () => translated(async () => transaction.commit()),
    rollback: () => translated(async () => transaction.rollback()),
    createSavepoint: (name) => run(`SAVEPOINT ${name}`),
    rollbackToSavepoint: (name) => run(`ROLLBACK TO ${name}`),
    releaseSavepoint: (name) => run(`RELEASE SAVEPOINT ${name}`),
  };
}

/** A WITH may write, so it does not count as a read; the reader's connection rejects writes in any case. */
function isRead(sql: string): boolean {
  return /^\s*SELECT\b/i.test(sql);
}

function toResultSet(result: SqliteResult): SqlResultSet {
  const columnTypes = toColumnTypes(result.declaredTypes, result.rows);
  return {
    columnNames: result.columns,
    columnTypes,
    rows: result.rows.map((row) => toPrismaRow(row, columnTypes)),
  };
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toPrismaError(error);
  }
}
