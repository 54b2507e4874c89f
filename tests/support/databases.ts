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
import { type EngineName, isChosen, parseEngine } from "./engine-choice.ts";
import { findServers, type FoundServer, type Servers } from "./servers.ts";

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

let servers: Promise<Servers> | undefined;

/**
 * The servers this run may use: those tests/run.ts has found (it passes them on, so that every file of a run covers the
 * same), else those found now. Only the chosen engine's where TEST_ENGINE (`--engine`) names one.
 */
export function availableServers(): Promise<Servers> {
  servers ??= (async () => {
    const passedOn = process.env["TEST_SERVERS"];
    const found =
      passedOn === undefined ? await findServers(process.env) : (JSON.parse(passedOn) as Servers);
    const choice = chosenEngine();
    return {
      ...found,
      databases: found.databases.filter(({ engine }) => isChosen(engine, choice)),
    };
  })();
  return servers;
}

/** The one engine this run is about; null for all. */
export const chosenEngine = (): EngineName | null => parseEngine(process.env["TEST_ENGINE"]);

/**
 * The back ends to run a suite on, each with engine and version in its name: SQLite with everything else in this
 * process, and every database server there is, with Redis where one answers. Redis without a database goes with SQLite.
 */
export async function availableBackends(): Promise<AvailableBackend[]> {
  const { databases, redis } = await availableServers();
  const redisUrl = redis?.url ?? null;
  const beside = redis === null ? "without Redis" : `and ${shortName(redis)}`;
  const backends = databases.map((server) =>
    describeBackend(`${shortName(server)} ${beside}`, server.url, redisUrl),
  );
  if (!isChosen("sqlite", chosenEngine())) return backends;
  backends.unshift(describeBackend("SQLite", null, null));
  if (databases.length === 0 && redis !== null)
    backends.push(describeBackend(`SQLite ${beside}`, null, redisUrl));
  return backends;
}

/** Engine, major and minor version: a name for a row of a suite that the next security update does not change. */
export function shortName({ name }: FoundServer): string {
  return name.replace(/(\d+\.\d+)\.\d+.*$/, "$1");
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
