// Parses DATABASE_URL for MySQL and MariaDB.
import type { ConnectionConfig } from "mariadb";
import { type MysqlTls, parseTls } from "./tls.ts";

/** A parsed mysql:// or mariadb:// URL. */
export interface MysqlTarget {
  connection: ConnectionConfig;
  /** Limit for all connections of this instance's pools together. */
  connectionLimit: number;
  database: string;
  tls: MysqlTls;
  /** Run first on every connection of a pool. */
  sessionSql: readonly string[];
  /** Host (or socket), port and database, without credentials, for messages. */
  label: string;
}

const DEFAULT_CONNECTION_LIMIT = 10;
const CONNECT_TIMEOUT_MS = 1_000;
/** Longer than any transaction of a live process idles: Prisma ends its own after ten seconds. */
const MARIADB_ENDS_IDLE_TRANSACTION_AFTER_SECONDS = 15;
const SERVER_CLOSES_IDLE_AFTER_SECONDS = 60;
/** After this idle time a pool closes a connection itself, well before the server would. */
export const POOL_CLOSES_IDLE_AFTER_SECONDS = 45;

// READ COMMITTED: every statement sees what was committed when it began, so a read after a row lock is never stale, and
// no gap locks make unrelated inserts deadlock. Waiting for a row lock ends after two seconds instead of MySQL's fifty.
// So does waiting for a table lock (an ALTER, a backup, a Galera node being copied), whose default is a year or a day.
// A machine that dies says no goodbye, and its open transaction keeps its rows until the server closes the connection,
// by default after eight hours. MariaDB closes one that idles within a transaction; MySQL only knows idling as such.
const SESSION = [
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 2, lock_wait_timeout = 2, sql_mode = 'TRADITIONAL,NO_ENGINE_SUBSTITUTION'",
  `SET SESSION wait_timeout = ${SERVER_CLOSES_IDLE_AFTER_SECONDS} /*M! , idle_transaction_timeout = ${MARIADB_ENDS_IDLE_TRANSACTION_AFTER_SECONDS} */`,
];

/**
 * Parses the URL; `sslCa` is DATABASE_SSL_CA. Throws a plain Error with a sentence that never contains the password.
 */
export function parseMysqlUrl(text: string, sslCa?: string): MysqlTarget {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(
      "DATABASE_URL cannot be read. Write mysql://user:password@host:3306/database, and percent-encode special characters of the password (@ is %40, # is %23, / is %2F).",
    );
  }
  const database = decodeURIComponent(url.pathname.slice(1));
  if (database === "") {
    throw new Error(
      `DATABASE_URL names no database. Write mysql://user:password@${url.host}/skywork`,
    );
  }
  const limit = Number(
    url.searchParams.get("connection_limit") ??
      url.searchParams.get("connectionLimit") ??
      DEFAULT_CONNECTION_LIMIT,
  );
  if (!Number.isInteger(limit) || limit < 1) {
    throw new Error("connection_limit in DATABASE_URL has to be a whole number of at least 1.");
  }
  const socketPath = url.searchParams.get("socket") ?? url.searchParams.get("socketPath");
  // A URL puts an IPv6 address in brackets; the driver wants none.
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1");
  const tls = parseTls(url.searchParams, socketPath === null ? host : "localhost", sslCa);
  return {
    database,
    tls,
    connectionLimit: limit,
    sessionSql: SESSION,
    label: `${socketPath ?? `${host}:${url.port || 3306}`}/${database}`,
    connection: {
      ...(socketPath === null ? { host, port: Number(url.port || 3306) } : { socketPath }),
      user: decodeURIComponent(url.username) || "root",
      password: url.password === "" ? undefined : decodeURIComponent(url.password),
      database,
      ...(tls.options === undefined ? {} : { ssl: tls.options }),
      // MySQL 8's default authentication needs the server's public key where no TLS protects the password.
      allowPublicKeyRetrieval: tls.mode === "off",
      connectTimeout: CONNECT_TIMEOUT_MS,
      timezone: "Z",
      collation: "UTF8MB4_BIN",
      keepAliveDelay: 10_000,
    },
  };
}

/** Returns the statement that creates the missing database. */
export function createDatabaseSql(database: string): string {
  return `CREATE DATABASE \`${database.replaceAll("`", "``")}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;`;
}
