// The back ends that suites can run on, and a fresh, disposable one for each suite.
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { type Backend, type BackendOptions, openBackend } from "../../server/infrastructure.ts";
import { redisUrl } from "../../server/config/addresses.ts";
import type { Logger } from "../../server/lib/logger.ts";
import { type FreshDatabase, migratedMysql } from "./mysql-databases.ts";
import { silent } from "./silent.ts";

/** The configuration a back end is opened with. */
export type BackendConfig = BackendOptions["config"];

/** A back end used by one suite only: nothing else touches its database, its file or its keys. */
export type OpenedBackend = Awaited<ReturnType<typeof openFresh>>;

/** A back end that is available on this machine. */
export type AvailableBackend = ReturnType<typeof describeBackend>;

/** Describes a back end on the given servers. Null means SQLite in a temporary file, or in-process instead of Redis. */
export function describeBackend(name: string, database: string | null, redis: string | null) {
  return {
    ...{ name, database, redis },
    dialect: database === null ? "sqlite" : "mysql",
    open: (logger?: Logger) => openFresh(database, redis, logger ?? silent),
  };
}

/** SQLite, with everything else in-process. */
export const EMBEDDED = describeBackend("embedded", null, null);

async function openFresh(mysql: string | null, redis: string | null, logger: Logger) {
  const database = mysql === null ? await freshSqlite() : await migratedMysql(mysql);
  const keyPrefix = `skywork_test_${randomBytes(6).toString("hex")}`;
  const config: BackendConfig = {
    environment: "test",
    database: { kind: mysql === null ? "sqlite" : "mysql", url: database.url },
    redis: redis === null ? null : redisUrl.parse(redis),
  };
  const open = () => openBackend({ config, logger, keyPrefix });
  const backend = await open();
  const instances = [backend];
  return {
    backend,
    config,
    keyPrefix,
    /** Environment for child processes: DATABASE_URL and, if Redis is used, REDIS_URL. */
    env: { DATABASE_URL: database.url, ...(redis === null ? {} : { REDIS_URL: redis }) },
    /** Opens a second instance on the same database and the same Redis keys; `close` closes it too. */
    async openAnother() {
      const another = await open();
      instances.push(another);
      return another;
    },
    /** Closes every instance and removes the data they stored. */
    async close() {
      await Promise.all(instances.map((instance) => instance.close()));
      if (redis !== null) await removeKeys(redis, keyPrefix);
      await database.drop();
    },
  };
}

/** Opens a back end on a database the caller provides, without Redis. The caller closes it. */
export function openAt(url: string, logger = silent): Promise<Backend> {
  const kind = url.startsWith("file:") ? "sqlite" : "mysql";
  return openBackend({
    config: { environment: "test", redis: null, database: { kind, url } },
    logger,
  });
}

/** Returns the URL of a SQLite file in its own temporary folder. */
export async function freshSqlite(): Promise<FreshDatabase> {
  const folder = await mkdtemp(join(tmpdir(), "skywork-test-"));
  return {
    url: `file:${join(folder, "test.db")}`,
    drop: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Returns a key nothing else uses. On a Redis Cluster, each key gets its own hash tag. */
export const uniqueKey = (): string => `{${randomUUID()}}:key`;

async function removeKeys(url: string, prefix: string): Promise<void> {
  const client = new Redis(url, { connectTimeout: 2_000, retryStrategy: () => null });
  client.on("error", () => undefined);
  try {
    for await (const keys of client.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
      const found = keys as string[];
      if (found.length > 0) await client.unlink(...found);
    }
  } finally {
    client.disconnect();
  }
}
