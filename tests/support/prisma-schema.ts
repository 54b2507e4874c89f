// A small reader of prisma/schema.prisma: models, columns and indexes as the database should have them.

/** One column as the schema declares it. */
export interface SchemaColumn {
  name: string;
  /** Prisma's scalar: String, Int, DateTime, Boolean. */
  scalar: string;
  /** The @db attribute, e.g. VarChar(36); undefined when there is none. */
  native: string | undefined;
  nullable: boolean;
  /** The text inside @default(...), if any. */
  default: string | undefined;
}

/** One index; the primary key is called PRIMARY. */
export interface SchemaIndex {
  name: string;
  unique: boolean;
  columns: string[];
}

/** One table. */
export interface SchemaTable {
  name: string;
  columns: SchemaColumn[];
  indexes: SchemaIndex[];
}

/** Reads the tables out of a schema's text. Throws on anything it does not know, so that nothing goes uncompared. */
export function readPrismaSchema(text: string): SchemaTable[] {
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
    throw new Error(`prisma-schema: unknown line in ${table.name}: ${line}`);
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
      throw new Error(`prisma-schema: unknown block attribute @@${kind} in ${table}`);
  }
}

function between(text: string, open: string, close: string): string {
  const start = text.indexOf(open);
  return text.slice(start + 1, text.indexOf(close, start + 1));
}
