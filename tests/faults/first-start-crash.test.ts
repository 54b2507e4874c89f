// A server killed in the middle of its first start, migrations included, starts the next time without intervention.
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createConnection } from "mariadb";
import { describe, expect, test } from "vitest";
import { openDatabase } from "../../server/database/open.ts";
import { sqlitePath } from "../../server/database/sqlite/open.ts";
import { parseMysqlUrl } from "../../server/database/mysql/options.ts";
import { auditWholeLedger } from "../../server/ledger/audit/audit.ts";
import { freshSqlite } from "../support/databases.ts";
import { type FreshDatabase, freshMysql } from "../support/mysql-databases.ts";
import { isChosen } from "../support/engine-choice.ts";
import { freePort } from "../support/ports.ts";
import { availableServers, chosenEngine, type FoundServer } from "../support/servers.ts";
import { createServerLives } from "./server-crash/server-lives.ts";
import { serverEnv } from "../support/server-env.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { silent as logger } from "../support/silent.ts";

const ROUNDS = process.env["FULL"] === "1" ? 25 : 2;
/** Generous: a start that has to wait for what the killed one left behind takes longer. */
const READY_MS = 60_000;
/** Roughly how long the migrations take. */
const MIGRATION_MS = 250;
const BEGIN_LIMIT_MS = 60_000;
const random = seededRandom("first start").next;
const { databases } = await availableServers();

interface Kind {
  readonly name: string;
  readonly dialect: "sqlite" | "mysql";
  fresh(): Promise<FreshDatabase>;
  /** Observes the migrations' progress: by tables, or on SQLite, which shows nothing until the end, by its WAL. */
  watch(url: string): Promise<{ made(): Promise<number>; close(): Promise<void> }>;
}

const SQLITE: Kind = {
  name: "SQLite",
  dialect: "sqlite",
  fresh: freshSqlite,
  watch: async (url) => ({
    made: async () => (existsSync(`${sqlitePath(url)}-wal`) ? 1 : 0),
    close: async () => undefined,
  }),
};

const kindOf = (server: FoundServer): Kind => ({
  name: server.name,
  dialect: "mysql",
  fresh: () => freshMysql(server.url),
  async watch(url) {
    const connection = await createConnection(parseMysqlUrl(url).connection);
    return {
      async made() {
        const tables: unknown[] = await connection.query("SHOW TABLES");
        return tables.length;
      },
      close: () => connection.end(),
    };
  },
});

const KINDS = [
  ...(isChosen("sqlite", chosenEngine()) ? [SQLITE] : []),
  ...databases.map((server) => kindOf(server)),
];

describe.each(KINDS)("a first start on $name", (kind) => {
  test(`is finished by the next start, each of the ${ROUNDS} times it is killed while it migrates`, {
    timeout: ROUNDS * 180_000,
  }, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const database = await kind.fresh();
      try {
        await killWhileMigrating(kind, database.url);
      } finally {
        await database.drop();
      }
    }
  });
});

async function killWhileMigrating(kind: Kind, url: string): Promise<void> {
  const lives = createServerLives(
    serverEnv({
      PORT: String(await freePort()),
      DATABASE_URL: url,
    }),
  );
  const watch = await kind.watch(url);
  try {
    const deadlineMs = Date.now() + BEGIN_LIMIT_MS;
    await lives.startAndKill(async () => {
      while ((await watch.made()) === 0 && Date.now() < deadlineMs) await sleep(2);
      await sleep(random() * MIGRATION_MS);
    });
    const made = await watch.made();
    expect(made).toBeGreaterThan(0);
    await lives.start();
    expect(lives.starts.at(-1)?.ownMs).toBeLessThan(READY_MS);
    const answer = await fetch(`${lives.url}/api/payment/packages`);
    expect(await answer.json()).toMatchObject({ success: true, packages: [{}, {}, {}] });
    expect(await lives.stop()).toBe(0);
    const { database, migrated, close } = await openDatabase({
      config: { environment: "test", database: { kind: kind.dialect, url } },
      logger,
    });
    try {
      expect(migrated).toEqual([]);
      expect(await auditWholeLedger({ database })).toEqual([]);
      process.stdout.write(`first start, ${kind.name}: ${made} made at the kill\n`);
    } finally {
      await close();
    }
  } finally {
    await lives.close();
    await watch.close();
  }
}
