// Derives prisma/sqlite/schema.prisma from prisma/schema.prisma: the same models without MySQL's column types.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SOURCE = new URL("./schema.prisma", import.meta.url);
const TARGET = new URL("./sqlite/schema.prisma", import.meta.url);

/**
 * Returns the SQLite schema derived from a MySQL schema's text.
 * @param {string} source
 * @returns {string}
 */
export function deriveSqliteSchema(source) {
  const [, ...afterHeader] = source.split(/^(?=generator )/m);
  const body = afterHeader
    .join("")
    .replace(
      'output                 = "./generated/mysql"',
      'output                 = "../generated/sqlite"',
    )
    .replace('provider = "mysql"', 'provider = "sqlite"')
    .replace(/ *@db\.\w+(\(\d+\))?/g, "")
    .replace(/[ \t]+$/gm, "");
  return `// Derived from ../schema.prisma by \`npm run prisma:derive\`. Do not edit: a test compares the two.\n\n${body}`;
}

/** Formats the MySQL schema as `prisma format` does; its columns stay aligned in the derived one. */
function formatSource() {
  const cli = fileURLToPath(new URL("../node_modules/prisma/build/index.js", import.meta.url));
  const { status } = spawnSync(
    process.execPath,
    [cli, "format", "--schema", fileURLToPath(SOURCE)],
    {
      stdio: ["ignore", "ignore", "inherit"],
      // Prisma would download its schema engine, which `format` does not use; any existing file stops that.
      env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath },
    },
  );
  if (status !== 0) process.exit(status ?? 1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  formatSource();
  writeFileSync(TARGET, deriveSqliteSchema(readFileSync(SOURCE, "utf8")));
}
