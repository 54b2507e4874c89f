// Which missing servers a test run can do without, and what its coverage line says.
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { coverageOf } from "../../support/coverage.ts";
import { parseEngine } from "../../support/engine-choice.ts";
import { prepareServers } from "../../support/prepare-servers.ts";
import { findServers, type FoundServer, type Servers } from "../../support/servers.ts";
import { listen } from "../../support/ports.ts";

/** Accepts connections and closes them immediately: a server that is running but cannot be used. */
let rude: Server;
let rudePort = 0;

beforeAll(async () => {
  rude = createServer((socket) => socket.destroy());
  rudePort = await listen(rude);
});

afterAll(async () => {
  await new Promise((resolve) => rude.close(resolve));
});

const mysql: FoundServer = {
  url: "mysql://root@127.0.0.1:2/",
  engine: "mysql",
  version: "9.7.4",
  name: "MySQL 9.7.4",
};
const mariadb: FoundServer = {
  url: "mysql://root@127.0.0.1:3/",
  engine: "mariadb",
  version: "10.11.14",
  name: "MariaDB 10.11.14",
};
const both: Servers = { sqlite: "3.45.1", databases: [mysql, mariadb], redis: null, missing: [] };
const startNothing = () => Promise.reject(new Error("nothing is started here"));

test("servers that were named and cannot be used are each named, without a password, and fail the run", async () => {
  const servers = await findServers({
    TEST_DATABASE_URL: `mysql://root:secret@127.0.0.1:${rudePort}/, mysql://root:secret@127.0.0.1:1/`,
    TEST_REDIS_URL: "redis://127.0.0.1:1",
  });
  const { line, fails } = coverageOf(servers, null);
  expect(line).toMatch(/^Engines covered: SQLite 3\.[\d.]+; not covered: /);
  expect(line).toMatch(new RegExp(`mysql://127\\.0\\.0\\.1:${rudePort} \\(.+\\)`));
  expect(line).toMatch(/mysql:\/\/127\.0\.0\.1:1 \(nobody answers there\)/);
  expect(line).toMatch(/redis:\/\/127\.0\.0\.1:1 \(nobody answers there\)/);
  expect(line).not.toContain("secret");
  expect(fails).toBe(true);
});

test("the line names every engine with its version", () => {
  const { line, fails } = coverageOf(both, null);
  expect(line).toBe("Engines covered: SQLite 3.45.1, MySQL 9.7.4, MariaDB 10.11.14");
  expect(fails).toBe(false);
});

test("--engine keeps that engine alone, and starts it where none answers", async () => {
  const chosen = await prepareServers("mysql", "found", async () => both, startNothing);
  expect(chosen.databases).toEqual([mysql]);
  expect(coverageOf(chosen, "mysql").line).toBe("Engines covered: MySQL 9.7.4");
  const sqlite = await prepareServers("sqlite", "found", async () => both, startNothing);
  expect(coverageOf(sqlite, "sqlite").line).toBe("Engines covered: SQLite 3.45.1");
  const without = async (): Promise<Servers> => ({ ...both, databases: [mysql] });
  const started = await prepareServers("mariadb", "found", without, async () => mariadb);
  expect(started.databases).toEqual([mariadb]);
  const unstarted = prepareServers("mariadb", "found", without, startNothing);
  await expect(unstarted).rejects.toThrow(/nothing is started/);
});

test("an engine nobody knows is refused with those there are", () => {
  expect(() => parseEngine("oracle")).toThrow(/oracle.*sqlite, mysql, mariadb/);
  expect(parseEngine("")).toBeNull();
});
