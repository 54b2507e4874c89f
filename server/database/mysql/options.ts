// Owns DATABASE_URL for MySQL: what may stand in it, and plain words when it does not work.
import type { ConnectionConfig } from "mariadb";

/** A parsed mysql:// or mariadb:// URL. */
export interface MysqlTarget {
  connection: ConnectionConfig;
  /** All connections of this instance together. */
  connectionLimit: number;
  database: string;
  /** Run first on every connection of a pool. */
  sessionSql: readonly string[];
  /** Host, port and database, without the password: for messages. */
  label: string;
}

const DEFAULT_CONNECTION_LIMIT = 10;
const CONNECT_TIMEOUT_MS = 1_000;

// READ COMMITTED: every statement sees what is committed when it starts, so a read after a row lock is never stale, and
// no gap locks make unrelated inserts deadlock. A row's lock is waited for two seconds, not MySQL's fifty; a table's (an
// ALTER, a backup, a Galera node being copied) likewise, not a year or a day.
const SESSION = [
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 2, lock_wait_timeout = 2, sql_mode = 'TRADITIONAL,NO_ENGINE_SUBSTITUTION'",
];

/** Parses the URL. Throws a plain Error with a sentence; the password is never in it. */
export function parseMysqlUrl(text: string): MysqlTarget {
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
  const ssl = parseSsl(url.searchParams);
  const socketPath = url.searchParams.get("socket") ?? url.searchParams.get("socketPath");
  // An IPv6 address has brackets in a URL and none for the driver.
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1");
  return {
    database,
    connectionLimit: limit,
    sessionSql: SESSION,
    label: `${socketPath ?? `${host}:${url.port || 3306}`}/${database}`,
    connection: {
      ...(socketPath === null ? { host, port: Number(url.port || 3306) } : { socketPath }),
      user: decodeURIComponent(url.username) || "root",
      password: url.password === "" ? undefined : decodeURIComponent(url.password),
      database,
      ...(ssl === undefined ? {} : { ssl }),
      // MySQL 8's default sign-in needs the server's key where no TLS protects the password.
      allowPublicKeyRetrieval: ssl === undefined,
      connectTimeout: CONNECT_TIMEOUT_MS,
      timezone: "Z",
      collation: "UTF8MB4_BIN",
      keepAliveDelay: 10_000,
    },
  };
}

function parseSsl(params: URLSearchParams): ConnectionConfig["ssl"] {
  const value = params.get("ssl") ?? params.get("sslmode") ?? params.get("sslaccept");
  switch (value?.toLowerCase()) {
    case undefined:
    case "":
    case "false":
    case "0":
    case "disable":
    case "disabled":
      return undefined;
    case "true":
    case "1":
    case "strict":
    case "required":
    case "require":
    case "verify_ca":
    case "verify_identity":
    case "verify-full":
      return { rejectUnauthorized: true };
    case "no-verify":
    case "accept_invalid_certs":
      return { rejectUnauthorized: false };
    default:
      throw new Error(
        "ssl in DATABASE_URL has to be true (the certificate is checked), no-verify, or false.",
      );
  }
}

/** A sentence for the operator about a database that could not be opened. */
export function explainMysqlError(target: MysqlTarget, error: unknown): Error {
  const { label, database, connection } = target;
  const user = connection.user ?? "";
  const where = `The database at ${label} cannot be used`;
  const sentence = (() => {
    switch (rootErrno(error)) {
      case 1045:
      case 1698:
        return `${where}: it refuses the user "${user}" with this password. Check the user and the password in DATABASE_URL.`;
      case 1044:
        return `${where}: the user "${user}" has no rights on it. As an administrator: GRANT ALL ON \`${database}\`.* TO '${user}'@'%';`;
      case 1049:
        return `${where}: it does not exist. ${createDatabaseSql(database)}`;
      case 1040:
      case 1203:
        return `${where}: it has no connection left. Lower connection_limit in DATABASE_URL or raise max_connections.`;
      default:
        return `${where}: ${rootMessage(error)}. Check that the server runs there, and the host, port and ssl= in DATABASE_URL.`;
    }
  })();
  return new Error(sentence, { cause: error });
}

/** The statement that makes the missing database. */
export function createDatabaseSql(database: string): string {
  return `CREATE DATABASE \`${database.replaceAll("`", "``")}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;`;
}

/** The server's error number at the end of the chain of causes; 0 if there is none. */
export function rootErrno(error: unknown): number {
  let number = 0;
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("errno" in at && typeof at.errno === "number") number = at.errno;
  }
  return number;
}

function rootMessage(error: unknown): string {
  let message = String(error);
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const first: unknown = at instanceof AggregateError ? at.errors[0] : undefined;
    message = first instanceof Error ? first.message : at.message;
  }
  // The connector adds the connection's number and a newline with the statement.
  return (message.split("\n")[0] ?? message).replace(/^\(conn:[^)]*\)\s*/, "").replace(/\.$/, "");
}
