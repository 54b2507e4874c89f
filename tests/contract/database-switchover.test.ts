// A planned switchover: the former primary stays up, read-only, and new connections are directed to the new one.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, openBackend } from "../../server/infrastructure.ts";
import type { SqlSession } from "../../server/database/ports.ts";
import { classifyDatabaseError } from "../../server/database/errors.ts";
import { engineMissing } from "../support/engines/programs.ts";
import { type SqlServer, startSqlServer } from "../support/engines/sql-server.ts";
import { type FreshDatabase, freshMysql, withMysql } from "../support/mysql-databases.ts";
import { availableServers } from "../support/servers.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { silent as logger } from "../support/silent.ts";

const missing = engineMissing("mariadb");
if (missing !== null) console.log(`A switchover is not covered: ${missing}`);
const { databases } = await availableServers();

describe.skipIf(missing !== null).each(databases)("a switchover to $name", ({ url }) => {
  let former: SqlServer;
  let fresh: FreshDatabase;
  let proxy: TcpProxy;
  let backend: Backend;
  const user = `app_${randomBytes(6).toString("hex")}`;
  const account = `'${user}'@'%'`;

  /** Creates, on either server, the database and a user that cannot write while the server is read-only. */
  async function prepare(serverUrl: string): Promise<void> {
    const name = new URL(fresh.url).pathname.slice(1);
    const charset = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
    await withMysql(serverUrl, `CREATE DATABASE IF NOT EXISTS ${name} ${charset}`);
    await withMysql(serverUrl, `CREATE USER ${account} IDENTIFIED BY 'geheim'`);
    await withMysql(serverUrl, `GRANT ALL ON ${name}.* TO ${account}`);
  }
  function open(serverUrl: string): Promise<Backend> {
    const own = new URL(serverUrl);
    Object.assign(own, {
      username: user,
      password: "geheim",
      pathname: new URL(fresh.url).pathname,
    });
    const database = { kind: "mysql", url: own.href } as const;
    return openBackend({ config: { environment: "production", redis: null, database }, logger });
  }

  beforeAll(async () => {
    [former, fresh] = await Promise.all([startSqlServer("mariadb"), freshMysql(url)]);
    await Promise.all([prepare(url), prepare(former.url)]);
    proxy = await startTcpProxy("127.0.0.1", former.port);
    const migrated = await open(url);
    await migrated.close();
    backend = await open(`mysql://127.0.0.1:${proxy.port}/`);
  });
  afterAll(async () => {
    await backend?.close();
    await proxy?.close();
    await former?.close();
    await withMysql(url, `DROP USER IF EXISTS ${account}`);
    await fresh?.drop();
  });

  const insert = (id: string) => (sql: SqlSession) =>
    sql.execute("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)", [id, id, new Date()]);
  /** Makes ten writes in each lane simultaneously; returns what the failures are classified as. */
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

  test("writes go to the new primary in time; until there is one, few connections are made", {
    timeout: 180_000,
  }, async () => {
    const connections = async () => {
      const [row] = await former.query<{ Value: string }>("SHOW STATUS LIKE 'Connections'");
      return Number(row?.Value);
    };
    expect(await write("before")).toEqual([]);
    await former.query("SET GLOBAL read_only = 1");
    const madeBefore = await connections();
    const fromMs = Date.now();
    while (Date.now() - fromMs < 3_000)
      expect(await write("read-only")).toEqual(Array.from({ length: 20 }, () => "away"));
    // At most the ten connections of both lanes every two seconds, plus those this test opens.
    const times = 1 + Math.ceil((Date.now() - fromMs) / 2_000);
    expect((await connections()) - madeBefore).toBeLessThanOrEqual(10 * times + 5);

    proxy.routeNewConnectionsTo(Number(new URL(url).port || 3306));
    let round = 0;
    await expect.poll(() => write(`after ${(round += 1)}`), { timeout: 60_000 }).toEqual([]);
    const left = () =>
      former.query(`SELECT 1 FROM information_schema.processlist WHERE user = '${user}'`);
    await expect.poll(left, { timeout: 60_000 }).toEqual([]);
  });
});
