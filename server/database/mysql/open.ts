// The production database: MySQL or MariaDB through Prisma, plus a small pool of the bare driver for the ledger.
import { setTimeout as sleep } from "node:timers/promises";
import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { createConnection, type Connection } from "mariadb";
import { PrismaClient } from "../../../prisma/generated/mysql/client.ts";
import { fullJitterMs } from "../../lib/backoff.ts";
import type { Logger } from "../../lib/logger.ts";
import { withTimeout } from "../../lib/timeout.ts";
import { CLIENT_OPTIONS } from "../client.ts";
import type { OpenDatabase, PrismaModels, SqlSession } from "../ports.ts";
import {
  classifyDatabaseError,
  orServiceUnavailable,
  retryConflicts,
  UnknownOutcomeError,
} from "../errors.ts";
import { migrateMysql } from "../migrations/mysql.ts";
import {
  explainMigrationError,
  explainMysqlError,
  explainRefusal,
  isTransient,
  rootErrno,
  summarizeMysqlError,
} from "./explain.ts";
import { createDatabaseSql, type MysqlTarget, parseMysqlUrl } from "./options.ts";
import { createMysqlPool, type MysqlPool } from "./pool.ts";
import { rawTransaction, readOnce } from "./session.ts";
import { createStatements } from "../statements.ts";

const PRISMA_TRANSACTIONS = { maxWait: 2_500, timeout: 10_000 };

// A request gets its response within three seconds, one of which is reserved for what precedes the transaction: the
// session, a reconnect. So an attempt whose lock wait timed out is not retried, and a COMMIT that hangs (a cluster
// re-establishing its quorum) is no longer waited for.
const RETRIES = { budgetMs: 2_000, longestTryMs: 1_500 };
const ANSWER_WITHIN_MS = 2_000;
/** Shorter than /ready waits for this check, so that it can report the reason and not just a timeout. */
const CHECK_WITHIN_MS = 800;
/** The least time that a COMMIT after long work, such as a job's, is given. */
const COMMIT_PATIENCE_MS = 1_000;
/** Pauses while waiting for the database, random so that instances waiting for the same one do not all come at once. */
const WAITING = { firstMs: 250, maxMs: 3_000 };

interface OpenOptions {
  readonly logger: Logger;
  /** Whether to create a missing database (development); otherwise the error names the CREATE DATABASE statement. */
  readonly mayCreate: boolean;
  /** The PEM of DATABASE_SSL_CA. */
  readonly sslCa?: string | undefined;
  /** How long to wait for a database that does not respond. */
  readonly waitMs: number;
}

/**
 * Opens and migrates the database of a mysql:// or mariadb:// URL. Throws a plain Error with a sentence when it cannot
 * be used.
 */
export async function openProductionDatabase(
  url: string,
  options: OpenOptions,
): Promise<OpenDatabase> {
  const { logger, mayCreate } = options;
  const target = parseMysqlUrl(url, options.sslCa);
  const migrated = await migrateOnceThere(target, options);
  // One connection more than the ledger uses, so that it can continue while one is being replaced.
  const rawLimit = target.connectionLimit >= 6 ? 3 : target.connectionLimit >= 4 ? 2 : 1;
  const statements = createStatements();
  const shared = { logger, statements };
  const raw = createMysqlPool(target, { connectionLimit: rawLimit, lane: "ledger", ...shared });
  const pool = createMysqlPool(target, {
    connectionLimit: Math.max(target.connectionLimit - rawLimit, 1),
    lane: "prisma",
    ...shared,
  });
  const client = new PrismaClient({
    // The text protocol costs one round trip and leaves no prepared statements on the server (docs/decisions/0012).
    adapter: new PrismaMariaDb(pool.forPrisma, {
      database: target.database,
      useTextProtocol: true,
    }),
    ...CLIENT_OPTIONS,
    transactionOptions: PRISMA_TRANSACTIONS,
  });
  logger.debug({ database: target.label, mayCreate }, "database open");
  let closing: Promise<void> | undefined;
  return {
    migrated,
    database: {
      dialect: "mysql",
      models: client,
      transaction(work) {
        const startedAt = performance.now();
        const once = () => runOnce(client, work, startedAt);
        return orServiceUnavailable(retryConflicts(once, RETRIES));
      },
      read: (sql, params) => readOnce(pool, sql, params),
      rawTransaction: (work) => rawTransaction(raw, work),
      maxConcurrentRawTransactions: Math.max(rawLimit - 1, 1),
    },
    async check() {
      try {
        // Reads a table, because a Galera node outside its quorum still answers SELECT 1 and refuses everything else.
        const answer = client.$queryRaw`SELECT 1 FROM _prisma_migrations LIMIT 1`;
        const late = () => new Error(`No answer within ${CHECK_WITHIN_MS} ms`);
        await withTimeout(answer, CHECK_WITHIN_MS, late);
        return { status: "up" };
      } catch (error) {
        const cause = pool.trouble() ?? error;
        logger.warn({ err: explainMysqlError(target, cause) }, "the database does not answer");
        return {
          status: "down",
          detail: summarizeMysqlError(cause),
          action:
            "See whether the database server runs, can be reached from here, and takes the user and password of DATABASE_URL.",
        };
      }
    },
    diskSpace: () => Promise.resolve(null),
    pools: () => [raw.stats(), pool.stats()],
    onStatement: statements.observe,
    close() {
      closing ??= close([pool, raw], client);
      return closing;
    },
  };
}

async function close(pools: readonly MysqlPool[], client: { $disconnect(): Promise<void> }) {
  await client.$disconnect();
  await Promise.all(pools.map((pool) => pool.close()));
}

/**
 * Migrates, retrying while the database is unavailable, until `waitMs` have passed. Only the first failure is logged.
 */
async function migrateOnceThere(target: MysqlTarget, options: OpenOptions): Promise<string[]> {
  const { logger, waitMs } = options;
  const giveUpAt = performance.now() + waitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await migrate(target, options);
    } catch (error) {
      const pauseMs = fullJitterMs(attempt, WAITING);
      if (performance.now() + pauseMs > giveUpAt || !isTransient(target, error)) throw error;
      if (attempt === 1)
        logger.warn({ err: error, waitMs }, "the database does not answer: it is waited for");
      await sleep(pauseMs);
    }
  }
}

async function migrate(target: MysqlTarget, { logger, mayCreate }: OpenOptions): Promise<string[]> {
  let connection: Connection;
  try {
    connection = await createConnection(target.connection).catch(async (error: unknown) => {
      if (rootErrno(error) !== 1049 || !mayCreate) throw error;
      await createDatabase(target, logger);
      return createConnection(target.connection);
    });
  } catch (error) {
    throw await explainRefusal(target, error);
  }
  connection.on("error", (error) => logger.warn({ err: error }, "migration connection lost"));
  try {
    for (const sql of target.sessionSql) await connection.query(sql);
    // Half of what the serving instances allow, so that a statement queued behind this connection's ALTER does not time
    // out.
    await connection.query("SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1");
    return await migrateMysql(connection, logger);
  } catch (error) {
    throw explainMigrationError(target, error);
  } finally {
    await connection.end().catch(() => connection.destroy());
  }
}

async function createDatabase(target: MysqlTarget, logger: Logger): Promise<void> {
  const connection = await createConnection({ ...target.connection, database: undefined });
  try {
    await connection.query(
      createDatabaseSql(target.database).replace("DATABASE", "DATABASE IF NOT EXISTS"),
    );
    logger.info({ database: target.label }, "database created");
  } finally {
    await connection.end();
  }
}

type Work<T> = (tx: { models: PrismaModels; sql: SqlSession }) => Promise<T>;
type Client = PrismaClient<never, (typeof CLIENT_OPTIONS)["omit"]>;

/** One attempt. Rejects with UnknownOutcomeError when COMMIT was sent and its reply is lost or takes too long. */
async function runOnce<T>(client: Client, work: Work<T>, startedAt: number): Promise<T> {
  let commits = false;
  let timer: NodeJS.Timeout | undefined;
  let giveUp: (error: Error) => void = () => {};
  const late = new Promise<never>((_resolve, reject) => {
    giveUp = reject;
  });
  try {
    const running = client.$transaction(async (models) => {
      const result = await work({ models, sql: prismaSession(models) });
      commits = true;
      const leftMs = ANSWER_WITHIN_MS - (performance.now() - startedAt);
      timer = setTimeout(
        () => giveUp(new UnknownOutcomeError(new Error("COMMIT takes too long"))),
        Math.max(COMMIT_PATIENCE_MS, leftMs),
      );
      return result;
    });
    return await Promise.race([running, late]);
  } catch (error) {
    // Lost before COMMIT was sent: rolled back. Lost after: the outcome is unknown.
    if (commits && classifyDatabaseError(error) === "away") throw new UnknownOutcomeError(error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Raw SQL on the connection of a Prisma transaction; bigints and decimals are returned as numbers. */
function prismaSession(models: PrismaModels): SqlSession {
  return {
    dialect: "mysql",
    async query<Row>(sql: string, params: readonly unknown[]) {
      const rows = await models.$queryRawUnsafe<Record<string, unknown>[]>(sql, ...params);
      return rows.map((row) => {
        for (const [column, value] of Object.entries(row)) {
          if (typeof value === "bigint" || isDecimal(value)) row[column] = Number(value);
        }
        return row as Row;
      });
    },
    execute: (sql, params) => models.$executeRawUnsafe(sql, ...params),
  };
}

function isDecimal(value: unknown): boolean {
  return typeof value === "object" && value !== null && "toDecimalPlaces" in value;
}
