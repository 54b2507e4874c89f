// Which silence aborts a statement, and which refusal does not.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseMysqlUrl } from "../../server/database/mysql/options.ts";
import { createWatchdog } from "../../server/database/mysql/watchdog.ts";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql, withMysql } from "../support/mysql-databases.ts";
import { silent as logger } from "../support/silent.ts";
import { openAt } from "../support/databases.ts";

const { databases } = await availableServers();

describe.each(databases)("the watchdog of $name", ({ url }) => {
  let fresh: FreshDatabase;
  const user = `app_${randomBytes(6).toString("hex")}`;
  const account = `'${user}'@'%'`;

  beforeAll(async () => {
    fresh = await freshMysql(url);
    await withMysql(
      url,
      `CREATE USER ${account} IDENTIFIED BY 'geheim' WITH MAX_USER_CONNECTIONS 4`,
    );
    await withMysql(url, `GRANT ALL ON ${new URL(fresh.url).pathname.slice(1)}.* TO ${account}`);
  });
  afterAll(async () => {
    await withMysql(url, `DROP USER ${account}`);
    await fresh.drop();
  });

  function urlOf(password: string): string {
    const own = new URL(fresh.url);
    Object.assign(own, { username: user, password, search: "?connection_limit=4" });
    return own.href;
  }

  test("a user without a connection to spare, and slow statements on all: each answers", async () => {
    const backend = await openAt(urlOf("geheim"));
    const sql = "SELECT SLEEP(3) AS slept";
    const { models, rawTransaction } = backend.database;
    const slow = [1, 2].flatMap(() => [
      rawTransaction((session) => session.query(sql, [])),
      models.$queryRawUnsafe(sql),
    ]);
    const answered = await Promise.allSettled(slow);
    await backend.close();
    const rejected = answered.filter(({ status }) => status === "rejected");
    expect(rejected).toEqual([]);
  });

  test("while the password is being changed, what is under way goes on", async () => {
    const { connection } = parseMysqlUrl(urlOf("the new one"));
    const watchdog = createWatchdog(connection, { logger, longestMs: 10_000 });
    let abandoned = false;
    const work = watchdog.run(
      () => sleep(2_500, "answered"),
      () => (abandoned = true),
    );
    expect(await work).toBe("answered");
    expect(abandoned).toBe(false);
    watchdog.stop();
  });

  test("a server that answers others excuses a statement for so long, and no longer", async () => {
    const watchdog = createWatchdog(parseMysqlUrl(fresh.url).connection, {
      ...{ logger, longestMs: 2_000 },
    });
    const run = (ms: number) => {
      let abandoned = false;
      const work = watchdog.run(
        () => sleep(ms, ms),
        () => (abandoned = true),
      );
      return work.then(
        (answer) => ({ answer, abandoned }),
        (error: unknown) => ({ error, abandoned }),
      );
    };
    const [overdue, inTime] = await Promise.all([run(6_000), run(1_500)]);
    expect(inTime).toEqual({ answer: 1_500, abandoned: false });
    expect(overdue).toMatchObject({ error: { name: "DatabaseUnavailableError" }, abandoned: true });
    watchdog.stop();
  });
});
