// A database user that may only read and write rows can start on a migrated database; on one that is not migrated, the
// error says what to do.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { availableServers } from "../support/servers.ts";
import { type FreshDatabase, freshMysql, withMysql } from "../support/mysql-databases.ts";
import { openAt } from "../support/databases.ts";

const { databases } = await availableServers();

describe.each(databases)("a user of $name who may not change tables", (server) => {
  const user = `skywork_dml_${randomBytes(4).toString("hex")}`;
  let database: FreshDatabase;
  let limited: string;

  beforeAll(async () => {
    database = await freshMysql(server.url);
    const url = new URL(database.url);
    const name = url.pathname.slice(1);
    for (const sql of [
      `CREATE USER '${user}'@'%' IDENTIFIED BY 'a-password-1A'`,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${name}.* TO '${user}'@'%'`,
    ])
      await withMysql(server.url, sql);
    url.username = user;
    url.password = "a-password-1A";
    limited = url.href;
  });
  afterAll(async () => {
    await withMysql(server.url, `DROP USER IF EXISTS '${user}'@'%'`);
    await database.drop();
  });

  test("is told to have the migrations applied when there are some", async () => {
    await expect(openAt(limited)).rejects.toThrow(/npm run prisma:migrate/);
  });

  test("starts when the database is migrated, and reads and writes", async () => {
    await (await openAt(database.url)).close();
    const backend = await openAt(limited);
    try {
      expect(backend.database.dialect).toBe("mysql");
      expect(await backend.database.models.plan.count()).toBeGreaterThan(0);
      await backend.database.models.user.create({ data: { id: "dml", email: "dml@example.com" } });
    } finally {
      await backend.close();
    }
  });
});
