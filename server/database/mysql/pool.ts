// Pools of MySQL connections: bounded waits, lost connections replaced, no waiting for a server that has gone silent.
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { createPool, type Pool, type PoolConnection, type QueryOptions } from "mariadb";
import type { Logger } from "../../lib/logger.ts";
import type { PoolStats } from "../ports.ts";
import type { Statements } from "../statements.ts";
import { withTimeout } from "../../lib/timeout.ts";
import { type MysqlTarget, POOL_CLOSES_IDLE_AFTER_SECONDS } from "./options.ts";
import { createSockets, type Sockets } from "./sockets.ts";
import { createWatchdog, DatabaseUnavailableError, type Watchdog } from "./watchdog.ts";

/** The pool type that @prisma/adapter-mariadb accepts. */
export type AdapterPool = Exclude<
  ConstructorParameters<typeof PrismaMariaDb>[0],
  string | { connectionLimit?: number }
>;

/** A pool and its entry points. Every statement sent through it is watched. */
export interface MysqlPool {
  /** For @prisma/adapter-mariadb: only the few methods it calls. */
  readonly forPrisma: AdapterPool;
  /** Acquires a connection, or rejects after about two seconds. Return it with `release`. */
  acquire(): Promise<WatchedConnection>;
  /** The last connection error, until a connection is acquired again. Callers waiting for one only see a timeout. */
  trouble(): Error | null;
  stats(): PoolStats;
  /** Closes every connection after what is in flight, within five seconds. Safe to call twice. */
  close(): Promise<void>;
}

/** A pooled connection whose statements are abandoned when the server has gone silent. */
export interface WatchedConnection {
  query<T>(sql: string | QueryOptions, values?: unknown): Promise<T>;
  execute<T>(sql: string | QueryOptions, values?: unknown): Promise<T>;
  on(event: string, listener: (error: Error) => void): void;
  off(event: string, listener: (error: Error) => void): void;
  release(): Promise<void>;
  destroy(): void;
}

const ACQUIRE_TIMEOUT_MS = 2_000;
const ACQUIRE_WITHIN_MS = ACQUIRE_TIMEOUT_MS + 200;
const CLOSE_WITHIN_MS = 5_000;

/** Makes the driver return counts and sums as numbers; Prisma does its own conversion. */
export const PLAIN_NUMBERS = {
  bigIntAsNumber: true,
  decimalAsNumber: true,
  insertIdAsNumber: true,
};

/**
 * The ledger's statements take milliseconds and wait two seconds for a lock; the doctor's and the jobs' may take
 * longer.
 */
const LONGEST_MS = { ledger: 10_000, prisma: 60_000 };

interface PoolOptions {
  readonly connectionLimit: number;
  readonly lane: "ledger" | "prisma";
  readonly logger: Logger;
  readonly statements: Statements;
}

/** Creates a pool of at most `connectionLimit` connections. Those of the ledger's lane have autocommit off. */
export function createMysqlPool(
  target: MysqlTarget,
  { connectionLimit, lane, logger, statements }: PoolOptions,
): MysqlPool {
  const watchdog = createWatchdog(target.connection, { logger, longestMs: LONGEST_MS[lane] });
  const pool = createPool({
    ...target.connection,
    initSql: [...target.sessionSql, `SET SESSION autocommit = ${lane === "ledger" ? 0 : 1}`],
    connectionLimit,
    acquireTimeout: ACQUIRE_TIMEOUT_MS,
    // Opened on demand. None is kept for longer, because the server would close it.
    minimumIdle: 0,
    idleTimeout: POOL_CLOSES_IDLE_AFTER_SECONDS,
    dateStrings: true,
    autoJsonMap: false,
    ...(lane === "ledger" ? PLAIN_NUMBERS : {}),
  });
  // Without a listener, a connection that the connector loses would end the process.
  const events = pool as unknown as NodeJS.EventEmitter;
  let trouble: Error | null = null;
  events.on("error", (error: Error) => {
    trouble = error;
    logger.warn({ err: error, database: target.label }, "database connection lost");
  });
  events.on("acquire", () => {
    trouble = null;
  });

  const sockets = createSockets(events, logger);

  async function acquireCurrent(): Promise<WatchedConnection> {
    for (;;) {
      const connection = await pool.getConnection();
      const socket = sockets.take(connection);
      const watched = watch(connection, { watchdog, statements, sockets, socket });
      if (!sockets.isOutdated(socket)) return watched;
      watched.destroy();
    }
  }

  async function acquire(): Promise<WatchedConnection> {
    const pending = acquireCurrent();
    // Pinging idle connections to a silent server can take longer than the pool's own timeout.
    return withTimeout(pending, ACQUIRE_WITHIN_MS, () => {
      pending.then((late) => late.release()).catch(() => {});
      return new DatabaseUnavailableError(`No database connection within ${ACQUIRE_WITHIN_MS} ms`);
    });
  }

  async function once<T>(work: (connection: WatchedConnection) => Promise<T>): Promise<T> {
    const connection = await statements.watch("CONNECT", acquire);
    try {
      return await work(connection);
    } finally {
      await connection.release();
    }
  }

  const forPrisma = {
    // Only for its transactions: its other statements come through `query`.
    getConnection: async () => serializeStatements(await statements.watch("CONNECT", acquire)),
    query: (sql: QueryOptions, values?: unknown) =>
      once((connection) => connection.query(sql, values)),
    execute: (sql: QueryOptions, values?: unknown) =>
      once((connection) => connection.execute(sql, values)),
  };
  let closing: Promise<void> | undefined;
  return {
    forPrisma: forPrisma as unknown as AdapterPool,
    acquire: () => statements.watch("CONNECT", acquire),
    trouble: () => trouble,
    stats: () => statsOf(pool, lane, connectionLimit),
    close() {
      closing ??= closePool(pool, watchdog);
      return closing;
    },
  };
}

interface Watching {
  readonly watchdog: Watchdog;
  readonly statements: Statements;
  readonly sockets: Sockets;
  readonly socket: Socket | undefined;
}

function watch(
  connection: PoolConnection,
  { watchdog, statements, sockets, socket }: Watching,
): WatchedConnection {
  // The connector's own `destroy` asks the server to KILL the statement, with no timeout and with a rejection nobody
  // can catch. Closing the socket is all we want.
  const destroy = () =>
    void socket?.destroy(new DatabaseUnavailableError("The connection was given up"));
  const emitter = connection as unknown as NodeJS.EventEmitter;
  async function send<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await watchdog.run(work, destroy);
    } catch (error) {
      sockets.noteError(socket, error);
      throw error;
    }
  }
  return {
    query: (sql, values) =>
      statements.watch(textOf(sql), () => send(() => connection.query(sql, values))),
    execute: (sql, values) =>
      statements.watch(textOf(sql), () => send(() => connection.execute(sql, values))),
    on: (event, listener) => void emitter.on(event, listener),
    off: (event, listener) => void emitter.off(event, listener),
    // Releasing a connection rolls back what it left open, to which a silent server would never respond.
    release: () => watchdog.run(() => connection.release(), destroy),
    destroy,
  };
}

async function closePool(pool: Pool, watchdog: Watchdog): Promise<void> {
  // A silent server never completes the closing handshake of its connections.
  await Promise.race([pool.end(), sleep(CLOSE_WITHIN_MS, undefined, { ref: false })]);
  watchdog.stop();
}

function statsOf(pool: Pool, name: string, limit: number): PoolStats {
  const [active, idle] = [pool.activeConnections(), pool.idleConnections()];
  return { pool: name, active, idle, limit, waiting: pool.taskQueueSize() };
}

function textOf(sql: string | QueryOptions): string {
  return typeof sql === "string" ? sql : sql.sql;
}

/**
 * Wraps a connection for one of Prisma's transactions. Each statement waits for the one before, and after a failed one
 * only ROLLBACK is sent: the server may have rolled everything back on its own, and later statements would then be
 * committed alone, by COMMIT (after a deadlock) or immediately (after a Galera conflict, because autocommit is on).
 * Nothing is sent after COMMIT or ROLLBACK either. Prisma itself orders only the statements issued in one turn of the
 * event loop.
 */
function serializeStatements(connection: WatchedConnection): WatchedConnection {
  let last: Promise<unknown> = Promise.resolve();
  const rollback = () => connection.query("ROLLBACK").catch(() => connection.destroy());
  function inTurn<T>(sql: string, send: () => Promise<T>): Promise<T> {
    const running = last.then(send, async (error: unknown) => {
      if (sql === "ROLLBACK") return send();
      if (sql === "COMMIT") await rollback();
      throw error;
    });
    last = running;
    if (sql === "COMMIT" || sql === "ROLLBACK")
      last = running.then(() => Promise.reject(new Error("The transaction has ended")));
    last.catch(() => {});
    return running;
  }
  return {
    ...connection,
    query: (sql, values) => inTurn(textOf(sql), () => connection.query(sql, values)),
    execute: (sql, values) => inTurn(textOf(sql), () => connection.execute(sql, values)),
  };
}
