// Owns pools of MySQL connections: bounded waits, survived losses, and a watchdog for a server that has gone silent.
import type { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { createPool, type PoolConnection } from "mariadb";
import type { Logger } from "../logger.ts";
import type { MysqlTarget } from "./mysql-options.ts";

/** The adapter is compiled against an older release of the same driver, so its types are others than ours. */
export type AdapterPool = ConstructorParameters<typeof PrismaMariaDb>[0];

/** A pool and the ways into it. */
export interface MysqlPool {
  /** For @prisma/adapter-mariadb. */
  readonly forPrisma: AdapterPool;
  /** A connection, within two seconds or not at all. Give it back with `release`. */
  acquire(): Promise<PoolConnection>;
  /** One `SELECT 1`, bounded to about a second. */
  probe(): Promise<void>;
  /** Ends every connection, after what is in flight. Safe to call twice. */
  close(): Promise<void>;
}

const ACQUIRE_TIMEOUT_MS = 2_000;

/** A pool of at most `connectionLimit` connections to the target. */
export function createMysqlPool(
  target: MysqlTarget,
  options: { connectionLimit: number; autocommit: boolean; logger: Logger },
): MysqlPool {
  const { connectionLimit, autocommit, logger } = options;
  const pool = createPool({
    ...target.connection,
    initSql: [...target.sessionSql, `SET SESSION autocommit = ${autocommit ? 1 : 0}`],
    connectionLimit,
    acquireTimeout: ACQUIRE_TIMEOUT_MS,
    // The rest is opened when needed and kept for a while.
    minimumIdle: 1,
    idleTimeout: 300,
    dateStrings: true,
    bigIntAsNumber: true,
    decimalAsNumber: true,
    insertIdAsNumber: true,
    autoJsonMap: false,
  });
  // Without a listener the connector's lost connections would end the process.
  const events = pool as unknown as NodeJS.EventEmitter;
  events.on("error", (error) =>
    logger.warn({ err: error, database: target.label }, "database connection lost"),
  );
  let closing: Promise<void> | undefined;
  return {
    forPrisma: pool as unknown as AdapterPool,
    acquire: () => pool.getConnection(),
    async probe() {
      await pool.query("SELECT 1");
    },
    close() {
      closing ??= pool.end();
      return closing;
    },
  };
}
