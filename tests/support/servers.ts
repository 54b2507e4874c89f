// Which servers the suites may use here: those configured, else those on the usual loopback ports. Each is probed once.
import Libsql from "libsql";
import { Redis } from "ioredis";
import { type EngineName, isChosen, parseEngine } from "./engine-choice.ts";
import { connectMysql } from "./mysql-databases.ts";

const USUAL_DATABASE = "mysql://root@127.0.0.1:3306/";
const USUAL_REDIS = "redis://127.0.0.1:6379";
const CONNECT_WITHIN_MS = 3_000;
const ANSWER_WITHIN_MS = 5_000;

/** A server that answered. */
export interface FoundServer {
  readonly url: string;
  readonly engine: "mysql" | "mariadb" | "redis" | "valkey";
  readonly version: string;
  /** Engine and version for people: `MySQL 9.7.4`. */
  readonly name: string;
}

/** A server, configured or at a usual port, that cannot be used. */
export interface MissingServer {
  readonly name: string;
  readonly reason: string;
  readonly fails: boolean;
}

/** The servers that the suites of a run use. */
export interface Servers {
  readonly sqlite: string;
  readonly databases: readonly FoundServer[];
  readonly redis: FoundServer | null;
  readonly missing: readonly MissingServer[];
}

type Env = Readonly<Record<string, string | undefined>>;

const TITLES = { mysql: "MySQL", mariadb: "MariaDB", redis: "Redis", valkey: "Valkey" } as const;

/**
 * Probes every server of TEST_DATABASE_URL (comma-separated) and TEST_REDIS_URL; whichever is unset defaults to the
 * usual loopback port. One that cannot be used is listed in `missing`. It `fails` the run if it was configured
 * explicitly, or in CI unless nothing listens there at all.
 */
export async function findServers(env: Env): Promise<Servers> {
  const named = (env["TEST_DATABASE_URL"] ?? "").split(",").map((url) => url.trim());
  const urls = named.filter((url) => url !== "");
  const missing: MissingServer[] = [];
  const find = async (url: string, isNamed: boolean, probe: Probe): Promise<FoundServer | null> => {
    try {
      return await probe(url);
    } catch (error) {
      const isAbsent = isRefused(error);
      const reason = isAbsent ? "nobody answers there" : firstLine(error);
      const fails = isNamed || (Boolean(env["CI"]) && !isAbsent);
      missing.push({ name: placeOf(url), reason, fails });
      return null;
    }
  };
  const databases = await Promise.all(
    (urls.length === 0 ? [USUAL_DATABASE] : urls).map((url) =>
      find(url, urls.length > 0, probeDatabase),
    ),
  );
  const redisUrl = env["TEST_REDIS_URL"] || USUAL_REDIS;
  const redis = await find(redisUrl, Boolean(env["TEST_REDIS_URL"]), probeRedis);
  return {
    sqlite: sqliteVersion(),
    databases: databases.filter((found) => found !== null),
    redis,
    missing,
  };
}

let servers: Promise<Servers> | undefined;

/**
 * Returns the servers this run may use: those tests/run.ts found (it passes them on, so that every file of a run covers
 * the same engines), otherwise those found now. If TEST_ENGINE (`--engine`) is set, only that engine's.
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

/** The one engine this run is restricted to; null for all. */
export const chosenEngine = (): EngineName | null => parseEngine(process.env["TEST_ENGINE"]);

/** The servers of a back end. */
export interface BackendChoice {
  /** Names them, with engine and version. */
  readonly name: string;
  /** A database server's URL; null for SQLite. */
  readonly database: string | null;
  /** Redis's URL; null for the in-process replacement. */
  readonly redis: string | null;
}

/**
 * Returns the back ends to run suites on: SQLite with everything else in-process, and every database server available,
 * combined with Redis if that is available. Redis without a database server is combined with SQLite.
 */
export async function availableBackends(): Promise<BackendChoice[]> {
  const { databases, redis } = await availableServers();
  const redisUrl = redis?.url ?? null;
  const beside = redis === null ? "without Redis" : `and ${shortName(redis)}`;
  const backends: BackendChoice[] = databases.map((server) => ({
    name: `${shortName(server)} ${beside}`,
    database: server.url,
    redis: redisUrl,
  }));
  if (!isChosen("sqlite", chosenEngine())) return backends;
  backends.unshift({ name: "SQLite", database: null, redis: null });
  if (databases.length === 0 && redis !== null)
    backends.push({ name: `SQLite ${beside}`, database: null, redis: redisUrl });
  return backends;
}

/** Engine with major and minor version: a name that stays the same across security updates. */
export function shortName({ name }: Pick<FoundServer, "name">): string {
  return name.replace(/(\d+\.\d+)\.\d+.*$/, "$1");
}

/** No servers at all. */
export const onlySqlite = (): Servers => ({
  sqlite: sqliteVersion(),
  databases: [],
  redis: null,
  missing: [],
});

type Probe = (url: string) => Promise<FoundServer>;

/** Identifies a database server. Throws if it cannot be used. */
export async function probeDatabase(url: string): Promise<FoundServer> {
  const connection = await connectMysql(url, {
    connectTimeout: CONNECT_WITHIN_MS,
    socketTimeout: ANSWER_WITHIN_MS,
  });
  connection.on("error", () => undefined);
  try {
    const [row] = await connection.query<{ version: string; comment: string }[]>(
      "SELECT VERSION() AS version, @@version_comment AS comment",
    );
    const told = `${row?.version} ${row?.comment}`;
    return found(url, /mariadb/i.test(told) ? "mariadb" : "mysql", row?.version ?? "");
  } finally {
    connection.destroy();
  }
}

async function probeRedis(url: string): Promise<FoundServer> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_WITHIN_MS,
    commandTimeout: ANSWER_WITHIN_MS,
    retryStrategy: () => null,
  });
  // The error event has the reason; the rejection only says that the connection is closed.
  let reason: Error | undefined;
  client.on("error", (error: Error) => {
    reason = error;
  });
  try {
    await client.connect();
    const info = await client.info("server");
    const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
    const redis = /^redis_version:(\S+)/m.exec(info)?.[1];
    return found(url, valkey === undefined ? "redis" : "valkey", valkey ?? redis ?? "");
  } catch (error) {
    throw reason ?? error;
  } finally {
    client.disconnect();
  }
}

function sqliteVersion(): string {
  const database = new Libsql(":memory:");
  try {
    const row: unknown = database.prepare("SELECT sqlite_version() AS version").get();
    return (row as { version: string }).version;
  } finally {
    database.close();
  }
}

function found(url: string, engine: FoundServer["engine"], told: string): FoundServer {
  const version = /\d+(\.\d+)+/.exec(told)?.[0] ?? "of no known version";
  return { url, engine, version, name: `${TITLES[engine]} ${version}` };
}

/** Host and port without the user info, which may contain a password. */
function placeOf(url: string): string {
  if (!URL.canParse(url)) return "a server whose URL cannot be read";
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

function isRefused(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && at.code === "ECONNREFUSED") return true;
    if (at.message.includes("ECONNREFUSED")) return true;
  }
  return false;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
