// One SQLite connection: its PRAGMAs, its prepared statements, and replacing it after an error it cannot recover from.
import Libsql from "libsql";
import { LRUCache } from "lru-cache";
import { createStatements, type Statements } from "../statements.ts";
import type { SqliteValue } from "./values.ts";

/** What a statement returned. */
export interface SqliteResult {
  columns: string[];
  declaredTypes: (string | null)[];
  rows: unknown[][];
  changes: number;
}

/** One connection. Every call is synchronous: SQLite runs on this thread. */
export interface SqliteConnection {
  /** Runs one statement to completion, so that no half-read statement holds a snapshot or a lock. */
  run(sql: string, args: readonly SqliteValue[]): SqliteResult;
  /**
   * Runs a script. BEGIN, COMMIT and ROLLBACK go this way too: a prepared BEGIN that met a lock would stay in progress
   * and make the next COMMIT fail, while a script's statements are always finalized.
   */
  script(sql: string): void;
  readonly inTransaction: boolean;
  /** Drops the connection; the next call opens a new one with the same PRAGMAs. */
  reset(): void;
  close(): void;
}

/** How long SQLite itself may block the event loop for another process's lock; the rest of the wait is asynchronous. */
const BLOCKING_BUSY_MS = 5;
const MAX_STATEMENTS = 300;

// WAL lets readers and the writer work side by side; FULL makes every commit durable before it is acknowledged.
// A checkpoint every 32 MiB instead of every 4: a batch touches some hundred pages, most of them again in the next one
// (`npm run bench -- --only embedded`: a third more spends). The page cache is accordingly 16 MiB, not 2.
const PRAGMAS = [
  `busy_timeout = ${BLOCKING_BUSY_MS}`,
  "synchronous = FULL",
  "foreign_keys = ON",
  "temp_store = MEMORY",
  "wal_autocheckpoint = 8000",
  "cache_size = -16384",
  "journal_size_limit = 67108864",
];

/**
 * Opens `path`. A `reader` rejects every write. Connections are opened only here, so that all of them have the PRAGMAs:
 * @libsql/client opens further ones of its own without them, which is why it is not used.
 */
export function openSqliteConnection(
  path: string,
  role: "reader" | "writer",
  statements: Statements = createStatements(),
): SqliteConnection {
  let closed = false;
  let database: Libsql.Database | undefined;
  let preparedStatements = new LRUCache<string, PreparedStatement>({ max: MAX_STATEMENTS });

  function live(): Libsql.Database {
    if (closed) throw new SqliteClosedError("The database is closed");
    if (database === undefined) database = open(path, role);
    return database;
  }

  function prepare(sql: string): PreparedStatement {
    const known = preparedStatements.get(sql);
    if (known !== undefined) return known;
    const statement = live().prepare(sql);
    const prepared = statement.reader
      ? { reader: true, statement: statement.raw() }
      : { reader: false, statement };
    preparedStatements.set(sql, prepared);
    return prepared;
  }

  function reset(): void {
    const old = database;
    database = undefined;
    preparedStatements = new LRUCache({ max: MAX_STATEMENTS });
    old?.close();
  }

  function run(sql: string, args: readonly SqliteValue[]): SqliteResult {
    live();
    const { reader, statement } = prepare(sql);
    try {
      if (!reader) {
        const { changes } = statement.run(args);
        return { columns: [], declaredTypes: [], rows: [], changes };
      }
      const rows = statement.all(args) as unknown[][];
      const columns = statement.columns();
      return {
        columns: columns.map(({ name }) => name),
        declaredTypes: columns.map(({ type }) => type),
        rows,
        // `RETURNING` returns one row for each row changed.
        changes: rows.length,
      };
    } catch (error) {
      preparedStatements.delete(sql);
      // A reader is never in a transaction, so a fresh connection is the safest way out of a statement that failed
      // halfway.
      if (role === "reader") reset();
      throw error;
    }
  }

  return {
    run: (sql, args) => statements.watchSync(sql, () => run(sql, args)),
    script(sql) {
      statements.watchSync(sql, () => live().exec(sql));
    },
    get inTransaction() {
      return database?.inTransaction ?? false;
    },
    reset,
    close() {
      if (closed) return;
      closed = true;
      reset();
    },
  };
}

/** The connection was used after `close`. */
export class SqliteClosedError extends Error {
  override readonly name = "SqliteClosedError";
}

interface PreparedStatement {
  reader: boolean;
  statement: Libsql.Statement<unknown[]>;
}

function open(path: string, role: "reader" | "writer"): Libsql.Database {
  const database = new Libsql(path);
  try {
    for (const pragma of PRAGMAS) database.exec(`PRAGMA ${pragma}`);
    // Without WAL a mere reader could make a COMMIT busy. Network file systems reject WAL.
    const [mode] = database.prepare("PRAGMA journal_mode = WAL").raw().all() as [[string]];
    if (mode[0] !== "wal") {
      throw new Error("its file system does not support SQLite's write-ahead log");
    }
    if (role === "reader") database.exec("PRAGMA query_only = ON");
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}
