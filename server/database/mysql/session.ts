// The bare driver: the transaction of the ledger's batches, and single reads.
import type { SqlSession } from "../ports.ts";
import { classifyDatabaseError, UnknownOutcomeError } from "../errors.ts";
import { type MysqlPool, PLAIN_NUMBERS, type WatchedConnection } from "./pool.ts";
import { toSqlDate } from "../dates.ts";

/**
 * `work` and COMMIT on one connection, once. The pool's connections have autocommit off, so the first statement begins
 * the transaction by itself: no round trip for BEGIN, and nothing can ever run outside a transaction.
 * A lost connection at COMMIT rejects with UnknownOutcomeError; whatever else goes wrong has rolled back.
 */
export async function rawTransaction<T>(
  pool: MysqlPool,
  work: (session: SqlSession) => Promise<T>,
): Promise<T> {
  const connection = await pool.acquire();
  try {
    const result = await work(sessionOf(connection));
    await commit(connection);
    return result;
  } catch (error) {
    await connection.query("ROLLBACK").catch(() => connection.destroy());
    throw error;
  } finally {
    await connection.release();
  }
}

/** One SELECT, on a connection whose autocommit is on. */
export async function readOnce<Row>(
  pool: MysqlPool,
  sql: string,
  params: readonly unknown[],
): Promise<Row[]> {
  const connection = await pool.acquire();
  try {
    return await connection.query<Row[]>({ sql, ...PLAIN_NUMBERS }, params.map(toMysqlValue));
  } finally {
    await connection.release();
  }
}

async function commit(connection: WatchedConnection): Promise<void> {
  try {
    await connection.query("COMMIT");
  } catch (error) {
    throw classifyDatabaseError(error) === "away" ? new UnknownOutcomeError(error) : error;
  }
}

function sessionOf(connection: WatchedConnection): SqlSession {
  return {
    dialect: "mysql",
    query: <Row>(sql: string, params: readonly unknown[]) =>
      connection.query<Row[]>(sql, params.map(toMysqlValue)),
    async execute(sql, params) {
      const result = await connection.query<{ affectedRows: number }>(
        sql,
        params.map(toMysqlValue),
      );
      return result.affectedRows;
    },
  };
}

function toMysqlValue(value: unknown): unknown {
  return value instanceof Date ? toSqlDate("mysql", value) : value;
}
