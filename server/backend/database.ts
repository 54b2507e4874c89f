// Owns the Database handle: the Prisma client, its transactions, and a raw SQL session for the ledger.
import type { PrismaClient as MysqlClient, Prisma } from "../../prisma/generated/mysql/client.ts";

/** Prisma's typed models, inside or outside a transaction. Secret columns stay in the stores. */
export type PrismaModels = Prisma.TransactionClient;

/**
 * Raw SQL on one connection, in one transaction. Placeholders are `?`.
 * Dates go in and come out as JavaScript Dates or ISO strings according to `dialect` helpers in server/ledger/sql.
 */
export interface SqlSession {
  readonly dialect: "mysql" | "sqlite";
  /** Rows as plain objects; integers as numbers. */
  query<Row>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  /** Number of affected rows. */
  execute(sql: string, params: readonly unknown[]): Promise<number>;
}

/** A Prisma transaction with the raw session of the same connection beside it. */
export interface DatabaseTransaction {
  readonly models: PrismaModels;
  readonly sql: SqlSession;
}

/** The database as the server uses it. */
export interface Database {
  readonly dialect: "mysql" | "sqlite";
  /** Typed reads and single-statement writes. */
  readonly models: PrismaModels;
  /**
   * Runs `work` in one short transaction; never do I/O other than SQL inside. Conflicts (deadlock, lock wait,
   * busy) run `work` again, a bounded number of times with jitter, so `work` must be free of other effects.
   * Throws SERVICE_UNAVAILABLE when the database is away or stays contended.
   */
  transaction<T>(work: (tx: DatabaseTransaction) => Promise<T>): Promise<T>;
  /**
   * The ledger writer's own lane: one bare-driver transaction, no retry, no Prisma (DESIGN.md 4, the hot path).
   * Rejects with the driver's error; `classifyDatabaseError` tells what it means.
   */
  rawTransaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
}

/** The generated client both back ends are seen as. */
export type { MysqlClient };
