// Orders SQLite's work in this process: one writer at a time, readers beside it, retries while other processes hold the
// lock.
import { setTimeout as sleep } from "node:timers/promises";
import type { Statements } from "../statements.ts";
import { openSqliteConnection, type SqliteConnection, type SqliteResult } from "./connection.ts";
import { isBusy, type SqliteValue } from "./values.ts";
import { createMutex, type Mutex } from "./write-mutex.ts";

/**
 * A write transaction. `run` throws once it has ended, so that nothing can leak into the next one. A statement that
 * fails ends it, as on MySQL: after some errors (I/O, a full disk) SQLite has rolled back on its own, and each later
 * statement would be committed alone.
 */
export interface SqliteTransaction {
  run(sql: string, args: readonly SqliteValue[]): SqliteResult;
  /** Durable when it returns. When it throws, everything has been rolled back. */
  commit(): void;
  rollback(): void;
}

/** The file, as this process uses it. */
export interface SqliteEngine {
  /** Runs one read-only statement on the reader's connection: it sees what is committed and never waits for writers. */
  read(sql: string, args: readonly SqliteValue[]): Promise<SqliteResult>;
  /** Runs one statement in its own transaction. */
  write(sql: string, args: readonly SqliteValue[]): Promise<SqliteResult>;
  /** Waits for the write turn, then begins. Rejects with MutexTimeoutError or SQLITE_BUSY after about five seconds. */
  begin(): Promise<SqliteTransaction>;
  /** Runs `work` in a transaction: committed when `work` is done, rolled back when it throws. */
  transaction<T>(work: (transaction: SqliteTransaction) => T | Promise<T>): Promise<T>;
  /** The transaction that holds the write turn now, if any. */
  readonly current: SqliteTransaction | undefined;
  /** Runs a script of several statements, in one transaction. */
  script(sql: string): Promise<void>;
  /** Closes the file after the transaction in flight. Safe to call twice. */
  close(): Promise<void>;
}

const WRITE_WAIT_MS = 5_000;
const MAX_WAITING_WRITERS = 10_000;

interface EngineState {
  readonly writer: SqliteConnection;
  readonly reader: SqliteConnection;
  /** The write turn. */
  readonly turn: Mutex;
  current: SqliteTransaction | undefined;
}

/**
 * Opens the file at `path` with one writer and one reader connection.
 *
 * Every write takes the in-process turn first and then runs BEGIN IMMEDIATE, the only statement that can meet another
 * process's lock: once it has the lock, a COMMIT in WAL mode cannot fail with busy. Should a COMMIT fail all the same
 * (disk full, I/O), the transaction is rolled back or the connection replaced before the next turn, so a failed commit
 * can never swallow later, acknowledged ones (prisma#29933).
 */
export async function openSqliteEngine(
  path: string,
  statements: Statements,
): Promise<SqliteEngine> {
  const state: EngineState = {
    writer: openSqliteConnection(path, "writer", statements),
    reader: openSqliteConnection(path, "reader", statements),
    turn: createMutex(MAX_WAITING_WRITERS),
    current: undefined,
  };
  const { writer, reader } = state;
  // Opens the file (and waits out another process's first switch to WAL) before anything relies on it.
  await retryWhileBusy(() => writer.run("SELECT 1", []), WRITE_WAIT_MS);
  return {
    get current() {
      return state.current;
    },
    begin: () => begin(state),
    read: (sql, args) => retryWhileBusy(() => reader.run(sql, args), WRITE_WAIT_MS),
    transaction: (work) => inTransaction(state, work),
    write: (sql, args) => inTransaction(state, (transaction) => transaction.run(sql, args)),
    script: (sql) => inTransaction(state, () => writer.script(sql)),
    close: () => close(state),
  };
}

/** Takes the write turn, then SQLite's lock. */
async function begin(state: EngineState): Promise<SqliteTransaction> {
  const { writer, turn } = state;
  const deadlineMs = performance.now() + WRITE_WAIT_MS;
  const endTurn = await turn.acquire(WRITE_WAIT_MS);
  try {
    await retryWhileBusy(
      () => writer.script("BEGIN IMMEDIATE"),
      Math.max(deadlineMs - performance.now(), 1_000),
    );
  } catch (error) {
    endTransaction(writer);
    endTurn();
    throw error;
  }
  const transaction = createTransaction(writer, () => {
    state.current = undefined;
    endTransaction(writer);
    endTurn();
  });
  state.current = transaction;
  return transaction;
}

/** Wraps the transaction that `writer` has just begun; `onEnd` runs once, when it ends. */
function createTransaction(writer: SqliteConnection, onEnd: () => void): SqliteTransaction {
  let open = true;
  let refusal: unknown = new Error("The transaction has ended");
  const finish = () => {
    open = false;
    onEnd();
  };
  return {
    run(sql, args) {
      if (!open) throw refusal;
      try {
        return writer.run(sql, args);
      } catch (error) {
        refusal = error;
        finish();
        throw error;
      }
    },
    commit() {
      if (!open) throw refusal;
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
}

/** Rolls back whatever is still open on the connection. */
function endTransaction(writer: SqliteConnection): void {
  if (!writer.inTransaction) return;
  try {
    writer.script("ROLLBACK");
  } catch {
    // The connection can no longer be trusted; closing it rolls back whatever it held.
    writer.reset();
  }
}

async function inTransaction<T>(
  state: EngineState,
  work: (transaction: SqliteTransaction) => T | Promise<T>,
): Promise<T> {
  const transaction = await begin(state);
  try {
    const result = await work(transaction);
    transaction.commit();
    return result;
  } finally {
    transaction.rollback();
  }
}

async function close({ writer, reader, turn }: EngineState): Promise<void> {
  const endTurn = await turn.acquire(WRITE_WAIT_MS * 3).catch(() => undefined);
  reader.close();
  writer.close();
  endTurn?.();
}

/** Retries while another process holds the lock, with growing, jittered pauses, for up to `waitMs`. */
async function retryWhileBusy<T>(attempt: () => T, waitMs: number): Promise<T> {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 20)) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw error;
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}
