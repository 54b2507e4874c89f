// The bare driver: the transactions of the ledger's batches, and single reads.
import type { SqlSession } from "../ports.ts";
import { classifyDatabaseError, UnknownOutcomeError } from "../errors.ts";
import { type MysqlPool, PLAIN_NUMBERS, type WatchedConnection } from "./pool.ts";
import { toSqlDate } from "../dates.ts";

/**
 * Runs `work` and COMMIT on one connection, once. The pool's connections have autocommit off, so the first statement
 * begins the transaction implicitly: no round trip for BEGIN, and nothing can ever run outside a transaction. Rejects
 * with UnknownOutcomeError when the connection is lost at COMMIT. After any other error everything is rolled back,
 * except where the error classifies as `unknownOutcome`.
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

/** Runs one SELECT on a connection with autocommit on. */
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
