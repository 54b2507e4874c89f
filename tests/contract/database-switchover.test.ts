// A planned switchover: the former primary lives on, read-only, and new connections are led to the new one.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, openBackend } from "../../server/infrastructure.ts";
import type { SqlSession } from "../../server/database/ports.ts";
import { classifyDatabaseError } from "../../server/database/errors.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { engineMissing } from "../support/engines/programs.ts";
import { type SqlServer, startSqlServer } from "../support/engines/sql-server.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const missing = engineMissing("mariadb");
if (missing !== null) console.log(`A switchover is not covered: ${missing}`);

const logger = createLogger({ level: "silent" });
const open = (port: number): Promise<Backend> => {
  const database = { kind: "mysql", url: `mysql://app:geheim@127.0.0.1:${port}/skywork` } as const;
  return openBackend({ config: { environment: "production", redis: null, database }, logger });
};

/** A server with our database, and a user that may not write while it is read-only. */
async function startServer(): Promise<SqlServer> {
  const server = await startSqlServer("mariadb");
  await server.query("CREATE DATABASE skywork CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
  await server.query("CREATE USER app@'%' IDENTIFIED BY 'geheim'");
  await server.query("GRANT ALL ON skywork.* TO app@'%'");
  return server;
}

describe.runIf(missing === null)("a switchover that cuts no connection", () => {
  let servers: SqlServer[];
  let proxy: TcpProxy;
  let backend: Backend;

  beforeAll(async () => {
    servers = await Promise.all([startServer(), startServer()]);
    const [former, next] = servers as [SqlServer, SqlServer];
    proxy = await startTcpProxy("127.0.0.1", former.port);
    const migrated = await open(next.port);
    await migrated.close();
    backend = await open(proxy.port);
  });
  afterAll(async () => {
    await backend?.close();
    await proxy?.close();
    for (const server of servers ?? []) await server.close();
  });

  const insert = (id: string) => (sql: SqlSession) =>
    sql.execute("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)", [id, id, new Date()]);
  /** Ten writes in each lane, at once; what the failures mean. */
  async function write(name: string): Promise<string[]> {
    const { database } = backend;
    const all = Array.from({ length: 10 }, (_, n) => [
      database.rawTransaction(insert(`${name} ${n} ledger`)),
      database.models.$executeRaw`UPDATE users SET credits = 1 WHERE id = ${`${name} ${n}`}`,
    ]);
    const results = await Promise.allSettled(all.flat());
    return results.flatMap((result) =>
      result.status === "fulfilled" ? [] : [classifyDatabaseError(result.reason)],
    );
  }

  test("writes go to the new primary in time; until there is one, few connections are made", async () => {
    const [former, next] = servers as [SqlServer, SqlServer];
    const connections = async () => {
      const [row] = await former.query<{ Value: string }>("SHOW STATUS LIKE 'Connections'");
      return Number(row?.Value);
    };
    expect(await write("before")).toEqual([]);
    await former.query("SET GLOBAL read_only = 1");
    const madeBefore = await connections();
    const untilMs = Date.now() + 3_000;
    while (Date.now() < untilMs)
      expect(await write("read-only")).toEqual(Array.from({ length: 20 }, () => "away"));
    // Twice in these three seconds at most, the ten of both lanes.
    expect((await connections()) - madeBefore).toBeLessThanOrEqual(25);

    proxy.leadNewTo(next.port);
    let round = 0;
    await expect.poll(() => write(`after ${(round += 1)}`), { timeout: 10_000 }).toEqual([]);
    const [row] = await next.query<{ there: number }>(
      "SELECT COUNT(*) AS there FROM skywork.users WHERE id LIKE 'after%'",
    );
    expect(Number(row?.there)).toBeGreaterThanOrEqual(10);
    const left = () =>
      former.query("SELECT 1 FROM information_schema.processlist WHERE user = 'app'");
    await expect.poll(left, { timeout: 5_000 }).toEqual([]);
  });
});
