// The database as the server sees it: Prisma's models, transactions, and a raw SQL session for the ledger.
import type { DependencyState } from "../lib/dependency-state.ts";
import type { ServerPrismaClient } from "./client.ts";
import type { SqlDialect } from "./dates.ts";

type NotInTransactions = "$connect" | "$disconnect" | "$on" | "$transaction" | "$extends";

/** Prisma's typed models, inside or outside a transaction. Secret columns never leave the stores. */
export type PrismaModels = Omit<ServerPrismaClient, NotInTransactions>;

/**
 * Raw SQL on one connection, in one transaction. Placeholders are `?`; parameters are null, string, number, bigint,
 * boolean or Date. Write dates with `toSqlDate(dialect, date)` and read them with `fromSqlDate(dialect, value)` of
 * dates.ts, and always pass them explicitly: a column's default has another format on SQLite.
 */
export interface SqlSession {
  readonly dialect: SqlDialect;
  /** Returns rows as plain objects; integers, sums and counts are numbers. */
  query<Row>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  /** Returns the number of rows matched, including those whose new value equals the old one. */
  execute(sql: string, params: readonly unknown[]): Promise<number>;
}

/** A Prisma transaction, with a raw session on the same connection. */
export interface DatabaseTransaction {
  readonly models: PrismaModels;
  readonly sql: SqlSession;
}

/**
 * The database as the server uses it. Isolation is READ COMMITTED on MySQL and serialized on SQLite, so a row read
 * before it is locked may have changed since: lock first (`SELECT … FOR UPDATE`), or write conditionally.
 */
export interface Database {
  readonly dialect: SqlDialect;
  /**
   * Typed reads and single-statement writes. Never write with them inside `transaction`: they would wait for it to end.
   */
  readonly models: PrismaModels;
  /**
   * Runs `work` in one short transaction; do no I/O other than SQL inside. On a conflict (deadlock, lock wait, busy)
   * `work` runs again, a bounded number of times with jitter, so it must have no other effects. A statement that fails
   * dooms the transaction: whatever `work` makes of the error, nothing more is sent or committed. Throws
   * SERVICE_UNAVAILABLE when the database is unavailable or stays contended; other errors pass through unchanged.
   */
  transaction<T>(work: (tx: DatabaseTransaction) => Promise<T>): Promise<T>;
  /**
   * Runs one SELECT on the bare driver, outside any transaction: for the few reads that most requests make, where
   * Prisma's conversions cost more than the read. Returns rows as `SqlSession.query` does. Rejects with the driver's
   * error.
   */
  read<Row>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  /**
   * The ledger writer's own lane: one transaction on the bare driver, with no retry and no Prisma
   * (docs/decisions/0050). Rejects with the driver's error; `classifyDatabaseError` says what it means.
   */
  rawTransaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
  /**
   * How many raw transactions gain from running concurrently: the ledger's connections less a spare one, or one on
   * SQLite.
   */
  readonly maxConcurrentRawTransactions: number;
}

/** Called when a statement starts; the function it returns is called when it ends, with the error if it failed. */
export type StatementObserver = (sql: string) => (error?: unknown) => void;

/** The state of a connection pool. */
export interface PoolStats {
  readonly pool: string;
  readonly active: number;
  readonly idle: number;
  readonly limit: number;
  /** Requests waiting for a connection. */
  readonly waiting: number;
}

/** Space on the file system that holds an embedded database's file. */
export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** An open database, with what its owner needs besides. */
export interface OpenDatabase {
  readonly database: Database;
  /** Names of the migrations applied on opening. */
  readonly migrated: readonly string[];
  /** Checks that the database responds, within about a second. Never throws. */
  check(): Promise<DependencyState>;
  /** The disk of an embedded database's file; null for a server, whose disk is elsewhere. */
  diskSpace(): Promise<DiskSpace | null>;
  /** The connection pools; empty on SQLite. */
  pools(): readonly PoolStats[];
  /** Calls `observer` for every statement until the returned function is called. */
  onStatement(observer: StatementObserver): () => void;
  /** Closes the database after what is in flight. Safe to call twice. */
  close(): Promise<void>;
}

/** A line of the audit log. */
export interface AuditLine {
  /** Null = no person requested it. */
  readonly actorId: string | null;
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly reason?: string | null;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly ip?: string | null;
}
