// Owns the order of SQLite's work in this process: one writer at a time, readers beside it, patience with other processes.
import { setTimeout as sleep } from "node:timers/promises";
import { createMutex } from "./write-mutex.ts";
import { openSqliteConnection, type SqliteResult } from "./connection.ts";
import { isBusy, type SqliteValue } from "./values.ts";

/** A write transaction. `run` refuses once it has ended, so that nothing can leak into the next one. */
export interface SqliteTransaction {
  readonly open: boolean;
  run(sql: string, args: readonly SqliteValue[]): SqliteResult;
  /** Durable when it returns. When it throws, everything has been rolled back. */
  commit(): void;
  rollback(): void;
}

/** The file, as this process uses it. */
export interface SqliteEngine {
  /** One statement that only reads, on the reader's connection: it sees what is committed and never waits for writers. */
  read(sql: string, args: readonly SqliteValue[]): Promise<SqliteResult>;
  /** One statement in a transaction of its own. */
  write(sql: string, args: readonly SqliteValue[]): Promise<SqliteResult>;
  /** Waits for the turn to write, then begins. Rejects with MutexTimeoutError or SQLITE_BUSY after about five seconds. */
  begin(): Promise<SqliteTransaction>;
  /** The transaction that has the turn now, if any. */
  readonly current: SqliteTransaction | undefined;
  /** A script of several statements, in one transaction. */
  script(sql: string): Promise<void>;
  /** Waits for the transaction in flight. Safe to call twice. */
  close(): Promise<void>;
}

const WRITE_WAIT_MS = 5_000;
const MAX_WAITING_WRITERS = 10_000;

/**
 * Opens the file at `path` with one writer and one reader connection.
 *
 * Every write takes the in-process turn first and then BEGIN IMMEDIATE, which is the only statement that can meet
 * another process's lock: once it has the lock, a COMMIT in WAL mode cannot be refused for being busy. Should a COMMIT
 * fail all the same (disk full, I/O), the transaction is rolled back or the connection replaced before the next turn,
 * so a failed commit can never swallow later, acknowledged ones (prisma#29933).
 */
export async function openSqliteEngine(path: string): Promise<SqliteEngine> {
  const writer = openSqliteConnection(path, "writer");
  const reader = openSqliteConnection(path, "reader");
  const turn = createMutex(MAX_WAITING_WRITERS);
  let current: SqliteTransaction | undefined;
  // Opens the file (and meets a first-time switch to WAL by another process) before anybody relies on it.
  await patiently(() => writer.run("SELECT 1", []), WRITE_WAIT_MS);

  function endTransaction(): void {
    if (!writer.inTransaction) return;
    try {
      writer.script("ROLLBACK");
    } catch {
      // The connection is not to be trusted any more; closing it rolls back whatever it held.
      writer.reset();
    }
  }

  async function begin(): Promise<SqliteTransaction> {
    const deadline = Date.now() + WRITE_WAIT_MS;
    const endTurn = await turn.acquire(WRITE_WAIT_MS);
    try {
      await patiently(
        () => writer.script("BEGIN IMMEDIATE"),
        Math.max(deadline - Date.now(), 1_000),
      );
    } catch (error) {
      endTransaction();
      endTurn();
      throw error;
    }
    let open = true;
    const finish = () => {
      open = false;
      current = undefined;
      endTransaction();
      endTurn();
    };
    const transaction: SqliteTransaction = {
      get open() {
        return open;
      },
      run(sql, args) {
        if (!open) throw new Error("The transaction has ended");
        return writer.run(sql, args);
      },
      commit() {
        if (!open) throw new Error("The transaction has ended");
        try {
          writer.script("COMMIT");
        } finally {
          finish();
        }
      },
      rollback() {
        if (open) finish();
      },
    };
    current = transaction;
    return transaction;
  }

  return {
    get current() {
      return current;
    },
    begin,
    read: (sql, args) => patiently(() => reader.run(sql, args), WRITE_WAIT_MS),
    async write(sql, args) {
      const transaction = await begin();
      try {
        const result = transaction.run(sql, args);
        transaction.commit();
        return result;
      } finally {
        transaction.rollback();
      }
    },
    async script(sql) {
      const transaction = await begin();
      try {
        writer.script(sql);
        transaction.commit();
      } finally {
        transaction.rollback();
      }
    },
    async close() {
      const endTurn = await turn.acquire(WRITE_WAIT_MS * 3).catch(() => undefined);
      reader.close();
      writer.close();
      endTurn?.();
    },
  };
}

/** Tries again while another process holds the lock, with growing, jittered pauses, for `waitMs` at most. */
async function patiently<T>(attempt: () => T, waitMs: number): Promise<T> {
  const deadline = Date.now() + waitMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 20)) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error) || Date.now() >= deadline) throw error;
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}
