// The committed Prisma schemas: SQLite's is derived from MySQL's, and both are formatted.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { deriveSqliteSchema } from "../../prisma/derive.mjs";

const read = (path: string) =>
  readFileSync(new URL(`../../prisma/${path}`, import.meta.url), "utf8");

test("the committed SQLite schema is the derived one", () => {
  expect(read("sqlite/schema.prisma")).toBe(deriveSqliteSchema(read("schema.prisma")));
});

test.each(["prisma/schema.prisma", "prisma/sqlite/schema.prisma"])(
  "`prisma format --check` finds nothing to format in %s",
  { timeout: 120_000 },
  (schema) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["node_modules/prisma/build/index.js", "format", "--check", "--schema", schema],
      {
        cwd: fileURLToPath(new URL("../..", import.meta.url)),
        encoding: "utf8",
        // Prisma would download its schema engine, which `format` does not use; any existing file prevents that.
        env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath },
      },
    );
    expect(status, `${stdout}${stderr}\nRun \`npm run prisma:derive\`.`).toBe(0);
  },
);
