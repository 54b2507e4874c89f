// MySQL databases that suites in the same process reuse after a reset to the rows of a new database: migrating a new
// one takes seconds, most of them spent waiting for the disk.
import { randomBytes } from "node:crypto";
import { type Connection, type ConnectionConfig, createConnection } from "mariadb";

/** An existing database; `drop` removes it. */
export interface FreshDatabase {
  url: string;
  drop(): Promise<void>;
}

interface Kept {
  readonly url: URL;
  /** Its tables with the rows of an unused database. */
  readonly tables: ReadonlyMap<string, readonly unknown[][]>;
}

const TOO_MANY_ROWS = 10_000;
const idle = new Map<string, Kept[]>();

/** Creates an empty database on the server at `serverUrl`. */
export async function freshMysql(serverUrl: string): Promise<FreshDatabase> {
  const url = new URL(serverUrl);
  url.pathname = `/${runPrefix()}${randomBytes(6).toString("hex")}`;
  const name = url.pathname.slice(1);
  await withMysql(serverUrl, `CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
  return { url: url.href, drop: () => withMysql(serverUrl, `DROP DATABASE IF EXISTS ${name}`) };
}

/** Returns a migrated database with its catalog. Under Vitest, `drop` keeps it for later suites until the run ends. */
export async function migratedMysql(serverUrl: string): Promise<FreshDatabase> {
  if (process.env["TEST_RUN"] === undefined) return freshMysql(serverUrl);
  const kept = idle.get(serverUrl)?.pop() ?? (await migrate(serverUrl));
  return {
    url: kept.url.href,
    drop: async () => {
      const isAsNew = await reset(kept).catch(() => false);
      if (isAsNew) idle.set(serverUrl, [...(idle.get(serverUrl) ?? []), kept]);
      else await withMysql(serverUrl, `DROP DATABASE ${kept.url.pathname.slice(1)}`);
    },
  };
}

/** Drops every database of this run on the server at `serverUrl`. */
export async function dropDatabasesOfRun(serverUrl: string): Promise<void> {
  const connection = await connectMysql(serverUrl);
  try {
    const found = await connection.query<unknown[][]>({
      sql: `SHOW DATABASES LIKE '${runPrefix().replaceAll("_", "\\_")}%'`,
      rowsAsArray: true,
    });
    for (const [name] of found) await connection.query(`DROP DATABASE ${String(name)}`);
  } finally {
    await connection.end();
  }
}

/** Runs one statement on a server and disconnects. */
export async function withMysql(serverUrl: string, sql: string): Promise<void> {
  const connection = await connectMysql(serverUrl);
  try {
    await connection.query(sql);
  } finally {
    await connection.end();
  }
}

const runPrefix = (): string => `skywork_test_${process.env["TEST_RUN"] ?? "alone"}_`;

async function migrate(serverUrl: string): Promise<Kept> {
  const url = new URL((await freshMysql(serverUrl)).url);
  // Imported lazily: Vitest's own process only drops databases and does not need the server's code.
  const { openDatabase } = await import("../../server/database/open.ts");
  const { createLogger } = await import("../../server/lib/logger.ts");
  const database = { kind: "mysql", url: url.href } as const;
  const logger = createLogger({ level: "silent" });
  const opened = await openDatabase({ config: { environment: "test", database }, logger });
  await opened.close();
  const connection = await connectMysql(url);
  try {
    const tables = new Map<string, unknown[][]>();
    const names = await connection.query<string[][]>({ sql: "SHOW TABLES", rowsAsArray: true });
    for (const [name = ""] of names) {
      // Only migrations write to these tables.
      if (name.startsWith("_")) continue;
      tables.set(name, await connection.query({ sql: `SELECT * FROM ${name}`, rowsAsArray: true }));
    }
    return { url, tables };
  } finally {
    await connection.end();
  }
}

/** Restores the rows of a new database. Returns false if it holds too many rows for that, or is still in use. */
async function reset({ url, tables }: Kept): Promise<boolean> {
  const connection = await connectMysql(url);
  try {
    const others = await connection.query<unknown[]>(
      "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
    );
    if (others.length > 0) return false;
    await connection.query("SET foreign_key_checks = 0, innodb_lock_wait_timeout = 2");
    for (const [name, rows] of tables) {
      const sql = `DELETE FROM ${name} LIMIT ${TOO_MANY_ROWS}`;
      const { affectedRows } = await connection.query<{ affectedRows: number }>(sql);
      if (affectedRows === TOO_MANY_ROWS) return false;
      const places = rows[0]?.map(() => "?").join(", ");
      if (rows.length > 0)
        await connection.batch(`INSERT INTO ${name} VALUES (${places})`, [...rows]);
    }
    return true;
  } finally {
    await connection.end();
  }
}

/** Connects to a server, or to the database named in its URL. */
export function connectMysql(
  serverUrl: string | URL,
  more: ConnectionConfig = {},
): Promise<Connection> {
  const { hostname, port, username, password, pathname } = new URL(serverUrl);
  return createConnection({
    host: hostname,
    port: Number(port || 3306),
    user: decodeURIComponent(username) || "root",
    password: decodeURIComponent(password),
    connectTimeout: 2_000,
    allowPublicKeyRetrieval: true,
    ...(pathname.length > 1 ? { database: pathname.slice(1) } : {}),
    ...more,
  });
}
