// How commands read the environment: `.env` as a fallback, blank as unset, the same for every reader.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadEnvironment } from "../../../server/config/environment.ts";
import { parseConfig } from "../../../server/config/parse-config.ts";
import { planDevelopment, readEnvironment } from "../../../server/cli/dev/environment.ts";
import { databaseUrl } from "../../../prisma/database-url.mjs";

const outside = { directory: process.cwd(), environment: { ...process.env } };
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "environment-"));
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(outside.directory);
  // The process.env object itself is kept; its entries are restored.
  delete process.env["DATABASE_URL"];
  Object.assign(process.env, outside.environment);
  rmSync(folder, { recursive: true });
});

const WAYS = {
  "the server and its commands": () => loadEnvironment()["DATABASE_URL"] ?? "unset",
  "npm run dev": () => readEnvironment()["DATABASE_URL"] ?? "unset",
  "Prisma's command line": () => databaseUrl().replace("file:./.data/skywork.db", "unset"),
};

test.each(Object.entries(WAYS))("%s: the environment, then .env, then nothing", (_who, read) => {
  const inFile = "mysql://file/x";
  for (const [given, file, expected] of [
    [undefined, undefined, "unset"],
    ["", undefined, "unset"],
    [" ", "", "unset"],
    [undefined, inFile, inFile],
    ["", inFile, inFile],
    ["  ", inFile, inFile],
    ["mysql://given/x", inFile, "mysql://given/x"],
  ] as const) {
    delete process.env["DATABASE_URL"];
    if (given !== undefined) process.env["DATABASE_URL"] = given;
    writeFileSync(".env", file === undefined ? "" : `DATABASE_URL=${file}\n`);
    expect(read(), JSON.stringify([given, file])).toBe(expected);
  }
});

test("Prisma, which knows MySQL alone, is told of MariaDB under that name", () => {
  writeFileSync(".env", "DATABASE_URL=mariadb://root@127.0.0.1/x\n");
  expect(databaseUrl()).toBe("mysql://root@127.0.0.1/x");
});

test("a production with blanks around it is one before anything parses it", () => {
  process.env["NODE_ENV"] = " production ";
  expect(loadEnvironment()["NODE_ENV"]).toBe("production");
});

test("the Google sandbox of `npm run dev` lets people back to the address the server has, its port filled in", () => {
  const own = "http://127.0.0.1:$PORT/api/auth/google/callback";
  const { callbackUrl } = planDevelopment({ PORT: "6100", GOOGLE_CALLBACK_URL: own });
  expect(callbackUrl).toBe("http://127.0.0.1:6100/api/auth/google/callback");
  const { google } = parseConfig({ PORT: "6100", GOOGLE_CALLBACK_URL: own });
  expect(google.callbackUrl).toBe(callbackUrl);
});
