// The database as the server sees it: Prisma's models, transactions, and a raw SQL session for the ledger.
import type { DependencyState } from "../lib/dependency-state.ts";
import type { ServerPrismaClient } from "./client.ts";
import type { SqlDialect } from "./dates.ts";

type NotInTransactions = "$connect" | "$disconnect" | "$on" | "$transaction" | "$extends";

/** Prisma's typed models, inside or outside a transaction. Secret columns stay in the stores. */
export type PrismaModels = Omit<ServerPrismaClient, NotInTransactions>;

/**
 * Raw SQL on one connection, in one transaction. Placeholders are `?`; parameters are null, string, number, bigint,
 * boolean or Date. Write dates with `toSqlDate(dialect, date)` and read them with `fromSqlDate(dialect, value)` of
 * dates.ts, and always give them yourself: a column's own default has another form on SQLite.
 */
export interface SqlSession {
  readonly dialect: SqlDialect;
  /** Rows as plain objects; integers, sums and counts as numbers. */
  query<Row>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  /** Number of rows matched (also where the new value equals the old one). */
  execute(sql: string, params: readonly unknown[]): Promise<number>;
}

/** A Prisma transaction with the raw session of the same connection beside it. */
export interface DatabaseTransaction {
  readonly models: PrismaModels;
  readonly sql: SqlSession;
}

/**
 * The database as the server uses it. Isolation is READ COMMITTED on MySQL (SQLite: serialized), so a row read before
 * it is locked may have changed: lock first (`SELECT … FOR UPDATE`), or write conditionally.
 */
export interface Database {
  readonly dialect: SqlDialect;
  /** Typed reads and single-statement writes. Never use them for writes inside `transaction`: they would wait for it. */
  readonly models: PrismaModels;
  /**
   * Runs `work` in one short transaction; never do I/O other than SQL inside. Conflicts (deadlock, lock wait,
   * busy) run `work` again, a bounded number of times with jitter, so `work` must be free of other effects.
   * A statement that fails dooms the transaction: whatever `work` makes of the error, nothing more is sent or committed.
   * Throws SERVICE_UNAVAILABLE when the database is unavailable or stays contended; other errors pass through unchanged.
   */
  transaction<T>(work: (tx: DatabaseTransaction) => Promise<T>): Promise<T>;
  /**
   * One SELECT on the bare driver, outside any transaction: for the few reads that most requests make, where Prisma's
   * conversions cost more than the read. Rows as `SqlSession.query` gives them. Rejects with the driver's error.
   */
  read<Row>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  /**
   * The ledger writer's own lane: one bare-driver transaction, no retry, no Prisma (docs/decisions/0050).
   * Rejects with the driver's error; `classifyDatabaseError` tells what it means.
   */
  rawTransaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Raw transactions that gain by running at once; one more waits for a connection, or for SQLite's one writer. */
  readonly rawTransactionsAtOnce: number;
}

/** Called when a statement starts; what it returns is called when it ends, with the error if it failed. */
export type StatementObserver = (sql: string) => (error?: unknown) => void;

/** What a pool of connections is doing. */
export interface PoolStats {
  readonly pool: string;
  readonly active: number;
  readonly idle: number;
  readonly limit: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
}

/** The file system of an embedded database's file. */
export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** An open database with what its owner needs beside it. */
export interface OpenDatabase {
  readonly database: Database;
  /** Names of the migrations that opening it applied. */
  readonly migrated: readonly string[];
  /** Asks the database for a sign of life; bounded to about a second; never throws. */
  check(): Promise<DependencyState>;
  /** The disk of an embedded database's file; null for a server, whose disk is elsewhere. */
  diskSpace(): Promise<DiskSpace | null>;
  /** Its pools; none where there are none. */
  pools(): readonly PoolStats[];
  /** Tells `observer` of every statement, until the returned function is called. */
  onStatement(observer: StatementObserver): () => void;
  /** Waits for what is in flight; safe to call twice. */
  close(): Promise<void>;
}

/** A line of the audit log. */
export interface AuditLine {
  /** Null = nobody asked for it. */
  readonly actorId: string | null;
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly reason?: string | null;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly ip?: string | null;
}
