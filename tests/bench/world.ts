// The environment of a benchmark: its own database with users, dropped afterwards.
import { randomBytes, randomUUID } from "node:crypto";
import { openBackend } from "../../server/infrastructure.ts";
import { createLedger } from "../../server/ledger/ledger.ts";
import type { SpendOperation } from "../../server/ledger/ports.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { redisUrl } from "../../server/config/addresses.ts";
import { type BackendConfig, freshSqlite } from "../support/databases.ts";
import { availableServers } from "../support/servers.ts";
import { freshMysql } from "../support/mysql-databases.ts";
import { grant, spend } from "../support/operations.ts";

/** Concurrent callers in every throughput row. */
export const IN_FLIGHT = 64;

/** Where a benchmark runs, in a form that can be sent to a child process. */
export interface Place {
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly keyPrefix: string;
}

/** A back end and a ledger on a place. */
export type Instance = Awaited<ReturnType<typeof openInstance>>;

/** Creates a place for this run only. Null if no MySQL or MariaDB is available. */
export async function createBenchEnvironment(
  kind: "mysql" | "sqlite",
): Promise<(Place & { drop(): Promise<void> }) | null> {
  const { databases, redis } = await availableServers();
  // If several are available, rows are about the first, or about the one of --engine.
  const [server] = databases;
  if (kind === "mysql" && server === undefined) return null;
  const keyPrefix = `skywork_bench_${randomBytes(4).toString("hex")}`;
  if (kind === "sqlite" || server === undefined) {
    const { url, drop } = await freshSqlite();
    return { databaseUrl: url, redisUrl: null, keyPrefix, drop };
  }
  const { url, drop } = await freshMysql(server.url);
  return {
    databaseUrl: `${url}?connection_limit=20`,
    redisUrl: redis?.url ?? null,
    keyPrefix,
    drop,
  };
}

/** Opens the production wiring on `place`: real locks, cache and pub/sub; everything enabled. */
export async function openInstance(place: Place) {
  const logger = createLogger({ level: "error" });
  const config: BackendConfig = {
    environment: "test",
    database: {
      kind: place.databaseUrl.startsWith("file:") ? "sqlite" : "mysql",
      url: place.databaseUrl,
    },
    redis: place.redisUrl === null ? null : redisUrl.parse(place.redisUrl),
  };
  const backend = await openBackend({ config, logger, keyPrefix: place.keyPrefix });
  const ledger = createLedger({ ...backend, logger, tracer: null, now: Date.now });
  return {
    backend,
    ledger,
    async close() {
      await ledger.close();
      await backend.close();
    },
  };
}

/** Creates users with 1,000,000,000 credits each, in one lot. */
export async function createUsers({ backend, ledger }: Instance, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => randomUUID());
  const at = new Date();
  await backend.database.models.user.createMany({
    data: ids.map((id) => ({ id, email: `${id}@bench.test`, createdAt: at, updatedAt: at })),
  });
  // In portions: on a busy machine the last of a thousand would be refused for having waited too long.
  for (let from = 0; from < count; from += IN_FLIGHT) {
    const grants = ids
      .slice(from, from + IN_FLIGHT)
      .map((userId) =>
        ledger.submit(grant(userId, `bench:${userId}`, 1_000_000_000, { source: "SIGNUP" })),
      );
    await Promise.all(grants);
  }
  return ids;
}

/** A spend like one that arrives over HTTP. */
export function spendOf(userId: string): SpendOperation {
  return spend(userId, `user:${randomUUID()}`, 1, { priceVersion: "bench" });
}
