// Finding every SQL statement in the server's source: the literals that begin as SQL does, and what is passed to a raw query.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync, Visitor } from "oxc-parser";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
// SQLite's own connection and migrations, the sandbox (no database) and the development commands.
const ELSEWHERE =
  /^server\/(sandbox\/|database\/sqlite\/|database\/migrations\/sqlite\.ts|cli\/dev)/;
const BEGINS_AS_SQL =
  /^\s*(?:(?:SELECT|INSERT|REPLACE|UPDATE|DELETE|WITH|SET|SHOW|CREATE|ALTER|DROP|TRUNCATE|LOCK|UNLOCK|KILL|CALL|START|SAVEPOINT|RELEASE|DO)\s|(?:COMMIT|ROLLBACK|BEGIN)\s*$)/;
const RAW_QUERY = new Set([
  ...["$queryRaw", "$executeRaw", "$queryRawUnsafe", "$executeRawUnsafe"],
  ...["query", "execute", "prepare", "batch"],
]);
const HOLE = "\u0000";

interface Piece {
  type: string;
  value?: unknown;
  quasis?: { value: { cooked?: string | null } }[];
  property?: { name?: string };
}

/** Every statement of the server's source. */
export function sourceStatements() {
  const files = readdirSync(join(ROOT, "server"), { recursive: true, encoding: "utf8" })
    .map((file) => `server/${file.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".ts") && !ELSEWHERE.test(file));
  return files.sort().flatMap((file) => statementsOf(file, readFileSync(join(ROOT, file), "utf8")));
}

/** The statements of one file's text. */
export function statementsOf(file: string, source: string) {
  const found = new Set<string>();
  const add = (node: Piece | undefined, always: boolean) => {
    const text = textOf(node);
    if (text !== undefined && (always || BEGINS_AS_SQL.test(text))) found.add(text);
  };
  const isRaw = (callee: unknown) => RAW_QUERY.has((callee as Piece).property?.name ?? "");
  new Visitor({
    Literal: (node) => add(node, false),
    TemplateLiteral: (node) => add(node, false),
    CallExpression(node) {
      if (isRaw(node.callee)) add(node.arguments[0] as Piece | undefined, true);
    },
    TaggedTemplateExpression(node) {
      if (isRaw(node.tag)) add(node.quasi, true);
    },
  }).visit(parseSync(file, source).program);
  return [...found].map((text) => describe(file, text));
}

function textOf(node: Piece | undefined): string | undefined {
  if (node?.type === "Literal") return typeof node.value === "string" ? node.value : undefined;
  if (node?.type !== "TemplateLiteral") return undefined;
  const text = (node.quasis ?? []).map(({ value }) => value.cooked ?? "").join(HOLE);
  // Only holes and a tail: `${sql} LIMIT 10` names a statement that stands elsewhere.
  return text.trimStart().startsWith(HOLE) ? undefined : text;
}

function describe(file: string, text: string) {
  const words = oneLine(text);
  const pattern = words
    .split(HOLE)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[\\s\\S]*?");
  // What the program appends to a constant: a list of values, a limit.
  const whole = new RegExp(`^${pattern}(?: \\((?:\\?,?)+\\))?(?: LIMIT \\d+)?$`);
  return {
    /** `file: beginning of the statement` */
    where: `${file}: ${words.replaceAll(HOLE, "…").slice(0, 90)}`,
    /** Whether a whole statement, its holes filled, is this one. */
    matches: (sql: string) => whole.test(oneLine(sql)),
  };
}

const oneLine = (text: string) => text.replace(/\s+/g, " ").trim();
