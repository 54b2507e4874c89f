// Owns which back ends a suite can run on here, and a fresh, droppable one for each suite.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createConnection } from "mariadb";
import { type Backend, type BackendOptions, openBackend } from "../../server/infrastructure.ts";
import type { RedisConfig } from "../../server/config/config.ts";
import { createLogger, type Logger } from "../../server/lib/logger.ts";

/** What a back end is opened with. */
export type BackendConfig = BackendOptions["config"];

/** A back end of a suite's own: nobody else sees its database, its file or its keys. */
export interface OpenedBackend {
  backend: Backend;
  config: BackendConfig;
  keyPrefix: string;
  /** For child processes: DATABASE_URL and, where Redis is used, REDIS_URL. */
  env: Record<string, string>;
  /** A second instance on the same database and the same Redis keys; closed by `close` too. */
  openAnother(): Promise<Backend>;
  /** Closes every instance and removes what they stored. */
  close(): Promise<void>;
}

/** A back end that can be used on this machine. */
export interface AvailableBackend {
  name: string;
  dialect: "mysql" | "sqlite";
  redis: boolean;
  open(logger?: Logger): Promise<OpenedBackend>;
}

const USUAL_MYSQL = "mysql://root@127.0.0.1:3306/";
const USUAL_REDIS = "redis://127.0.0.1:6379";

/** A server's URL, null where none can be used (tests/support/coverage.ts says so, and fails CI). */
export interface Servers {
  mysql: string | null;
  redis: string | null;
}

let servers: Promise<Servers> | undefined;

/** The servers named by TEST_DATABASE_URL and TEST_REDIS_URL, else those on the usual loopback ports. */
export function availableServers(): Promise<Servers> {
  servers ??= (async () => {
    const mysql = process.env["TEST_DATABASE_URL"] || USUAL_MYSQL;
    const redis = process.env["TEST_REDIS_URL"] || USUAL_REDIS;
    const [mysqlAnswers, redisAnswers] = await Promise.all([
      answers(() => withMysql(mysql, "SELECT 1")),
      answers(() => withRedis(redis, (client) => client.ping())),
    ]);
    return { mysql: mysqlAnswers ? mysql : null, redis: redisAnswers ? redis : null };
  })();
  return servers;
}

/**
 * The back ends to run a suite on: always `embedded` (SQLite, in-process); `production` (MySQL/MariaDB and Redis) where
 * both servers answer, else the one that does beside its in-process or embedded counterpart.
 */
export async function availableBackends(): Promise<AvailableBackend[]> {
  const { mysql, redis } = await availableServers();
  const backends = [describeBackend("embedded", null, null)];
  if (mysql !== null && redis !== null) backends.push(describeBackend("production", mysql, redis));
  else if (mysql !== null) backends.push(describeBackend("mysql without redis", mysql, null));
  else if (redis !== null) backends.push(describeBackend("embedded with redis", null, redis));
  return backends;
}

/** A back end over the given servers; null means SQLite in a temporary file, and in-process. */
export function describeBackend(
  name: string,
  mysql: string | null,
  redis: string | null,
): AvailableBackend {
  return {
    name,
    dialect: mysql === null ? "sqlite" : "mysql",
    redis: redis !== null,
    open: (logger) => openFresh(mysql, redis, logger ?? createLogger({ level: "silent" })),
  };
}

async function openFresh(
  mysql: string | null,
  redis: string | null,
  logger: Logger,
): Promise<OpenedBackend> {
  const database = mysql === null ? await freshSqlite() : await freshMysql(mysql);
  const keyPrefix = `skywork_test_${randomBytes(6).toString("hex")}`;
  const config: BackendConfig = {
    environment: "test",
    database: { kind: mysql === null ? "sqlite" : "mysql", url: database.url },
    redis: redis === null ? null : redisConfigOf(redis),
  };
  const open = () => openBackend({ config, logger, keyPrefix });
  const backend = await open();
  const instances = [backend];
  return {
    backend,
    config,
    keyPrefix,
    env: { DATABASE_URL: database.url, ...(redis === null ? {} : { REDIS_URL: redis }) },
    async openAnother() {
      const another = await open();
      instances.push(another);
      return another;
    },
    async close() {
      await Promise.all(instances.map((instance) => instance.close()));
      if (redis !== null) await withRedis(redis, (client) => removeKeys(client, keyPrefix));
      await database.drop();
    },
  };
}

/** A database that exists and is empty. `drop` removes it. */
export interface FreshDatabase {
  url: string;
  drop(): Promise<void>;
}

/** A path for a SQLite file in a folder of its own. */
export async function freshSqlite(): Promise<FreshDatabase> {
  const folder = await mkdtemp(join(tmpdir(), "skywork-test-"));
  return {
    url: `file:${join(folder, "test.db")}`,
    drop: () => rm(folder, { recursive: true, force: true }),
  };
}

/** An empty database on the server of `serverUrl`. */
export async function freshMysql(serverUrl: string): Promise<FreshDatabase> {
  const name = `skywork_test_${randomBytes(6).toString("hex")}`;
  await withMysql(serverUrl, `CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => withMysql(serverUrl, `DROP DATABASE IF EXISTS ${name}`) };
}

/** A redis:// URL as Config has it. */
export function redisConfigOf(text: string): RedisConfig {
  const url = new URL(text);
  return {
    kind: "single",
    host: url.hostname,
    port: Number(url.port || 6379),
    tls: url.protocol === "rediss:",
    db: Number(url.pathname.slice(1) || 0),
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
  };
}

/** Runs one statement on a server and hangs up. */
export async function withMysql(serverUrl: string, sql: string): Promise<void> {
  const { hostname, port, username, password } = new URL(serverUrl);
  const connection = await createConnection({
    host: hostname,
    port: Number(port || 3306),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    connectTimeout: 2_000,
  });
  try {
    await connection.query(sql);
  } finally {
    await connection.end();
  }
}

async function withRedis(url: string, work: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: 2_000,
    retryStrategy: () => null,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await work(client);
  } finally {
    client.disconnect();
  }
}

async function removeKeys(client: Redis, prefix: string): Promise<void> {
  for await (const keys of client.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
    const found = keys as string[];
    if (found.length > 0) await client.unlink(...found);
  }
}

async function answers(probe: () => Promise<void>): Promise<boolean> {
  try {
    await probe();
    return true;
  } catch {
    return false;
  }
}
