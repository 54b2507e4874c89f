// Owns the production database: MySQL or MariaDB through Prisma, with a small pool of the bare driver for the ledger.
import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { createConnection, type Connection } from "mariadb";
import { PrismaClient } from "../../prisma/generated/mysql/client.ts";
import type { Logger } from "../logger.ts";
import {
  type OpenDatabase,
  type PrismaModels,
  SECRET_COLUMNS,
  type SqlSession,
} from "./database.ts";
import {
  classifyDatabaseError,
  retryConflicts,
  toServiceUnavailable,
  UnknownOutcomeError,
} from "./database-errors.ts";
import { migrateMysql } from "./migrate-mysql.ts";
import {
  createDatabaseSql,
  explainMysqlError,
  type MysqlTarget,
  parseMysqlUrl,
  rootErrno,
} from "./mysql-options.ts";
import { createMysqlPool, type MysqlPool } from "./mysql-pool.ts";
import { rawTransaction } from "./mysql-session.ts";

const PRISMA_TRANSACTIONS = { maxWait: 2_500, timeout: 10_000 };

/**
 * Opens (migrates) the database of a mysql:// or mariadb:// URL. Throws a plain Error with a sentence when it cannot
 * be used. `mayCreate`: a missing database is created (development), else its CREATE DATABASE line is told.
 */
export async function openProductionDatabase(
  url: string,
  options: { logger: Logger; mayCreate: boolean },
): Promise<OpenDatabase> {
  const { logger, mayCreate } = options;
  const target = parseMysqlUrl(url);
  const migrated = await migrate(target, options);
  // The ledger has one lane; the second connection lets it go on while the first is being replaced.
  const rawLimit = target.connectionLimit >= 4 ? 2 : 1;
  const raw = createMysqlPool(target, { connectionLimit: rawLimit, lane: "ledger", logger });
  const pool = createMysqlPool(target, {
    connectionLimit: Math.max(target.connectionLimit - rawLimit, 1),
    lane: "prisma",
    logger,
  });
  const client = new PrismaClient({
    // The text protocol costs one round trip and leaves no prepared statements on the server (docs/decisions).
    adapter: new PrismaMariaDb(pool.forPrisma, {
      database: target.database,
      useTextProtocol: true,
    }),
    omit: SECRET_COLUMNS,
    errorFormat: "minimal",
    transactionOptions: PRISMA_TRANSACTIONS,
  });
  logger.debug({ database: target.label, mayCreate }, "database open");
  let closing: Promise<void> | undefined;
  return {
    migrated,
    database: {
      dialect: "mysql",
      models: client,
      transaction: (work) => transaction(client, work),
      rawTransaction: (work) => rawTransaction(raw, work),
    },
    async check() {
      try {
        await client.$queryRaw`SELECT 1`;
        return { status: "up" };
      } catch (error) {
        logger.warn({ err: error }, "the database does not answer");
        return { status: "down", detail: explainMysqlError(target, error).message };
      }
    },
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

async function migrate(
  target: MysqlTarget,
  { logger, mayCreate }: { logger: Logger; mayCreate: boolean },
): Promise<string[]> {
  let connection: Connection;
  try {
    connection = await createConnection(target.connection).catch(async (error: unknown) => {
      if (rootErrno(error) !== 1049 || !mayCreate) throw error;
      await createDatabase(target, logger);
      return createConnection(target.connection);
    });
  } catch (error) {
    throw explainMysqlError(target, error);
  }
  connection.on("error", (error) => logger.warn({ err: error }, "migration connection lost"));
  try {
    return await migrateMysql(connection, logger);
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

async function transaction<T>(
  client: PrismaClient<never, typeof SECRET_COLUMNS>,
  work: (tx: { models: PrismaModels; sql: SqlSession }) => Promise<T>,
): Promise<T> {
  try {
    return await retryConflicts(async () => {
      let worked = false;
      try {
        return await client.$transaction(async (models) => {
          const result = await work({ models, sql: prismaSession(models) });
          worked = true;
          return result;
        });
      } catch (error) {
        // Lost before COMMIT was sent: rolled back. Lost after: nobody knows.
        if (worked && classifyDatabaseError(error) === "away") throw new UnknownOutcomeError(error);
        throw error;
      }
    });
  } catch (error) {
    throw toServiceUnavailable(error) ?? error;
  }
}

/** Raw SQL on the connection of a Prisma transaction, with numbers as numbers. */
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
