// Owns deriving prisma/sqlite/schema.prisma from prisma/schema.prisma: the same models without MySQL's column types.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SOURCE = new URL("./schema.prisma", import.meta.url);
const TARGET = new URL("./sqlite/schema.prisma", import.meta.url);

/**
 * The SQLite schema that belongs to a MySQL schema's text.
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(TARGET, deriveSqliteSchema(readFileSync(SOURCE, "utf8")));
}
