// Compares the migrated databases with prisma/schema.prisma, column by column and index by index.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { SqlSession } from "../../server/database/ports.ts";
import { available } from "../support/backend.ts";
import { useBackend } from "../support/use-app.ts";

const read = (path: string) =>
  readFileSync(new URL(`../../prisma/${path}`, import.meta.url), "utf8");
const tables = readPrismaSchema(read("schema.prisma"));

test("the reader of the schema sees every model, column and index", () => {
  expect(tables.length).toBe(read("schema.prisma").match(/^model /gm)?.length);
  const names = tables.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(["users", "credit_logs", "payments", "stripe_events"]),
  );
  expect(tables.find(({ name }) => name === "credit_logs")?.indexes).toContainEqual({
    name: "PRIMARY",
    unique: true,
    columns: ["userId", "seq"],
  });
});

describe("schema", () => {
  const subject = useBackend(available);
  const { dialect } = available;
  test("the database has the tables, columns, defaults and indexes of the Prisma model, and no others", async () => {
    const actual = await subject.backend.database.rawTransaction((sql) =>
      dialect === "mysql" ? readMysql(sql) : readSqlite(sql),
    );
    const expected = tables.map((table) =>
      dialect === "mysql" ? mysqlTable(table) : sqliteTable(table),
    );
    expect(sorted(actual)).toEqual(sorted(expected));
  });

  test.runIf(dialect === "mysql")(
    "every table is InnoDB and compares text by its bytes",
    async () => {
      const rows = await subject.backend.database.rawTransaction((sql) =>
        sql.query(
          `SELECT DISTINCT t.ENGINE AS engine, c.COLLATION_NAME AS collation
           FROM information_schema.tables t
           JOIN information_schema.columns c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
          WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME <> '_prisma_migrations' AND c.COLLATION_NAME IS NOT NULL`,
          [],
        ),
      );
      expect(rows).toEqual([{ engine: "InnoDB", collation: "utf8mb4_bin" }]);
    },
  );
});

/** A table in the textual form used to compare both sides: "name type nullability default". */
interface TableText {
  name: string;
  columns: string[];
  indexes: string[];
}

/** Sorts columns and indexes: migrations append columns while the model groups them, so their order is irrelevant. */
function sorted(list: TableText[]): TableText[] {
  return list
    .map(({ name, columns, indexes }) => ({
      name,
      columns: [...columns].sort(),
      indexes: [...indexes].sort(),
    }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

const indexText = (name: string, unique: boolean, columns: readonly string[]) =>
  `${name} ${unique ? "unique" : "plain"} (${columns.join(", ")})`;

const columnText = (name: string, type: string, nullable: boolean, fallback: string) =>
  `${name} ${type} ${nullable ? "null" : "not null"} default ${fallback}`;

function mysqlTable(table: SchemaTable): TableText {
  const type = ({ scalar, native }: SchemaColumn) =>
    native?.toLowerCase() ?? { Boolean: "tinyint", BigInt: "bigint" }[scalar] ?? "int";
  const fallback = (column: SchemaColumn) => {
    if (column.default === "now()") return "current_timestamp(3)";
    if (column.scalar === "Boolean") return column.default === "true" ? "1" : "0";
    return column.default?.replaceAll('"', "") ?? "none";
  };
  return {
    name: table.name,
    columns: table.columns.map((column) => {
      const hasDefault = column.default !== undefined;
      return columnText(
        column.name,
        type(column),
        column.nullable,
        hasDefault ? fallback(column) : "none",
      );
    }),
    indexes: table.indexes.map(({ name, unique, columns }) => indexText(name, unique, columns)),
  };
}

async function readMysql(sql: SqlSession): Promise<TableText[]> {
  const columns = await sql.query<{
    tableName: string;
    name: string;
    type: string;
    nullable: string;
    fallback: string | null;
  }>(
    `SELECT TABLE_NAME AS tableName, COLUMN_NAME AS name, COLUMN_TYPE AS type, IS_NULLABLE AS nullable,
            COLUMN_DEFAULT AS fallback
       FROM information_schema.columns
      WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME <> '_prisma_migrations'
      ORDER BY TABLE_NAME, ORDINAL_POSITION`,
    [],
  );
  const parts = await sql.query<{
    tableName: string;
    name: string;
    plain: number;
    columnName: string;
  }>(
    `SELECT TABLE_NAME AS tableName, INDEX_NAME AS name, NON_UNIQUE AS plain, COLUMN_NAME AS columnName
       FROM information_schema.statistics
      WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME <> '_prisma_migrations'
      ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
    [],
  );
  return [...new Set(columns.map(({ tableName }) => tableName))].map((name) => {
    const ofTable = parts.filter(({ tableName }) => tableName === name);
    return {
      name,
      columns: columns
        .filter(({ tableName }) => tableName === name)
        .map((column) => {
          // MySQL and MariaDB differ in the display width of integers and in how they quote defaults.
          const type = column.type.toLowerCase().replace(/^(int|bigint|tinyint)\(\d+\)/, "$1");
          const fallback =
            (column.fallback ?? "NULL").toLowerCase() === "null" ? "none" : column.fallback;
          const text = (fallback ?? "none").replaceAll("'", "").replace(/^CURRENT/i, "current");
          return columnText(
            column.name,
            type,
            column.nullable === "YES",
            text.replace("TIMESTAMP", "timestamp"),
          );
        }),
      indexes: [...new Set(ofTable.map((part) => part.name))].map((index) => {
        const ofIndex = ofTable.filter((part) => part.name === index);
        return indexText(
          index,
          ofIndex[0]?.plain === 0,
          ofIndex.map(({ columnName }) => columnName),
        );
      }),
    };
  });
}

function sqliteTable(table: SchemaTable): TableText {
  const types: Record<string, string> = {
    String: "TEXT",
    Int: "INTEGER",
    BigInt: "BIGINT",
    DateTime: "DATETIME",
    Boolean: "BOOLEAN",
  };
  const fallback = (column: SchemaColumn) =>
    column.default === "now()"
      ? "CURRENT_TIMESTAMP"
      : (column.default?.replaceAll('"', "'") ?? "none");
  return {
    name: table.name,
    columns: table.columns.map((column) =>
      columnText(column.name, types[column.scalar] ?? "?", column.nullable, fallback(column)),
    ),
    indexes: table.indexes.map(({ name, unique, columns }) => indexText(name, unique, columns)),
  };
}

async function readSqlite(sql: SqlSession): Promise<TableText[]> {
  const names = await sql.query<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_prisma_migrations'",
    [],
  );
  const found: TableText[] = [];
  for (const { name } of names) {
    const columns = await sql.query<{
      name: string;
      type: string;
      notnull: number;
      dflt_value: string | null;
    }>(`SELECT * FROM pragma_table_info(?) ORDER BY cid`, [name]);
    const list = await sql.query<{ name: string; unique: number; origin: string }>(
      `SELECT * FROM pragma_index_list(?)`,
      [name],
    );
    const indexes: string[] = [];
    for (const index of list) {
      const parts = await sql.query<{ name: string }>(
        "SELECT name FROM pragma_index_info(?) ORDER BY seqno",
        [index.name],
      );
      const label = index.origin === "pk" ? "PRIMARY" : index.name;
      indexes.push(
        indexText(
          label,
          index.unique === 1,
          parts.map((part) => part.name),
        ),
      );
    }
    found.push({
      name,
      columns: columns.map((column) =>
        columnText(column.name, column.type, column.notnull === 0, column.dflt_value ?? "none"),
      ),
      indexes,
    });
  }
  return found;
}

/** A column as declared in the schema. */
interface SchemaColumn {
  name: string;
  /** Prisma's scalar: String, Int, DateTime, Boolean. */
  scalar: string;
  /** The @db attribute, for example VarChar(36); undefined if there is none. */
  native: string | undefined;
  nullable: boolean;
  /** The text inside @default(...), if any. */
  default: string | undefined;
}

/** An index; the primary key is called PRIMARY. */
interface SchemaIndex {
  name: string;
  unique: boolean;
  columns: string[];
}

/** A table. */
interface SchemaTable {
  name: string;
  columns: SchemaColumn[];
  indexes: SchemaIndex[];
}

/** Parses the tables of a schema. Throws on anything it does not know, so that nothing goes uncompared. */
function readPrismaSchema(text: string): SchemaTable[] {
  const tables: SchemaTable[] = [];
  for (const match of text.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)) {
    const lines = (match[2] ?? "")
      .split("\n")
      .map((line) => line.replace(/\/\/.*$/, "").trim())
      .filter((line) => line !== "");
    const map = lines.find((line) => line.startsWith("@@map("));
    const name = map === undefined ? (match[1] ?? "") : between(map, '"', '"');
    const table: SchemaTable = { name, columns: [], indexes: [] };
    for (const line of lines) readLine(table, line);
    tables.push(table);
  }
  return tables;
}

function readLine(table: SchemaTable, line: string): void {
  if (line.startsWith("@@map(")) return;
  if (line.startsWith("@@")) {
    const [, kind = ""] = /^@@(\w+)\(/.exec(line) ?? [];
    const columns = between(line, "[", "]")
      .split(",")
      .map((column) => column.trim());
    table.indexes.push(indexOf(table.name, kind, columns));
    return;
  }
  const [, name = "", scalar = "", optional = "", rest = ""] =
    /^(\w+)\s+(\w+)(\?)?\s*(.*)$/.exec(line) ?? [];
  if (!["String", "Int", "BigInt", "DateTime", "Boolean"].includes(scalar)) {
    throw new Error(`unknown line in ${table.name}: ${line}`);
  }
  table.columns.push({
    name,
    scalar,
    nullable: optional === "?",
    native: /@db\.(\w+(?:\(\d+\))?)/.exec(rest)?.[1],
    default: /@default\(((?:[^()]|\(\))*)\)/.exec(rest)?.[1],
  });
  if (/@id\b/.test(rest)) table.indexes.push(indexOf(table.name, "id", [name]));
  if (/@unique\b/.test(rest)) table.indexes.push(indexOf(table.name, "unique", [name]));
}

function indexOf(table: string, kind: string, columns: string[]): SchemaIndex {
  switch (kind) {
    case "id":
      return { name: "PRIMARY", unique: true, columns };
    case "unique":
      return { name: `${table}_${columns.join("_")}_key`, unique: true, columns };
    case "index":
      return { name: `${table}_${columns.join("_")}_idx`, unique: false, columns };
    default:
      throw new Error(`unknown block attribute @@${kind} in ${table}`);
  }
}

function between(text: string, open: string, close: string): string {
  const start = text.indexOf(open);
  return text.slice(start + 1, text.indexOf(close, start + 1));
}
