// Follows docs/guides/add-a-feature.md on a copy of the repository: its files, three commands, and everything compiles.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { copyRepository, ROOT } from "./copy.ts";

const copy = copyRepository();
const guide = readFileSync(join(ROOT, "docs/guides/add-a-feature.md"), "utf8");

/** The first block of code under the line that ends with `file`, or after its name and `end`. */
function blockFor(file: string, end = "`\n"): string {
  const section = guide.slice(guide.indexOf(`\`${file}${end}`));
  const code = /```ts\n([\s\S]*?)```/.exec(section)?.[1];
  if (code === undefined) throw new Error(`The guide has no code for ${file}`);
  return code;
}

/** Puts `line` before the first `mark` after `start`. */
function enter(file: string, line: string, start: string, mark: string): void {
  const path = join(copy, file);
  const text = readFileSync(path, "utf8");
  const at = text.indexOf(mark, text.indexOf(start));
  if (at < 0) throw new Error(`${file} has no ${start} … ${mark}`);
  writeFileSync(path, text.slice(0, at) + line + text.slice(at));
}

/** The guide's second example: a call that answers once. */
function addCall(): void {
  const entry =
    '  "word-count": { label: "Words", description: "Counts.", priceVariable: "WORD_COUNT_COST", defaultPriceCredits: 1 },\n';
  enter("shared/src/features.ts", entry, "FEATURE_TABLE = {", "} as const satisfies");
  for (const file of ["shared/src/text.ts", "server/routers/text.ts"])
    writeFileSync(join(copy, file), blockFor(file));
  for (const [file, name] of [
    ["shared/src/contract.ts", "textContract"],
    ["server/routers/app.ts", "textRouter"],
  ] as const) {
    enter(file, `import { ${name} } from "./text.ts";\n`, "", "import ");
    enter(file, `  text: ${name},\n`, "export const", "}");
  }
  const matrix = "tests/integration/auth/matrix-rows.ts";
  enter(matrix, blockFor(matrix, "`:\n"), "export const rows", "};");
}

/** Puts `block` before the first `end` after `start`, or replaces the line of `start` when there is no `end`. */
function edit(file: string, start: string, end: string | null): void {
  const path = join(copy, file);
  const text = readFileSync(path, "utf8");
  const from = text.indexOf(start);
  const at = end === null ? from : text.indexOf(end, from);
  if (from < 0 || at < 0) throw new Error(`${file} has no ${start} … ${end}`);
  const rest = end === null ? text.slice(text.indexOf("\n", at) + 1) : text.slice(at);
  writeFileSync(path, text.slice(0, at) + blockFor(file) + rest);
}

/** What the compiler says of a project of the copy. */
function compile(project: string): string {
  const { stdout } = spawnSync(
    process.execPath,
    [join(ROOT, "node_modules/typescript/bin/tsc"), "--noEmit", "--pretty", "false", "-p", project],
    { cwd: copy, encoding: "utf8" },
  );
  return stdout.trim();
}

afterAll(() => rmSync(copy, { recursive: true, force: true }));

test("compiles with a feature added by the guide in five files, and a call that answers once", () => {
  edit("shared/src/features.ts", "FEATURE_TABLE = {", "} as const satisfies");
  edit("shared/src/ai.ts", "export const startInput", "]);\n");
  edit("server/ai/prompts.ts", "export function promptOf", '    case "ppt-generate":');
  edit("examples/web/src/data/chats.ts", "export const CHAT_FEATURES", null);
  edit("examples/web/src/pages/home.tsx", "const FEATURE_PLACES", "};\n");
  addCall();
  const generators = [
    "shared/write-types.ts",
    "server/config/write-docs.ts",
    "server/http/openapi/write-reference.ts",
  ];
  for (const script of generators)
    execFileSync(process.execPath, ["--import", "tsx", script], { cwd: copy });
  expect(compile("tsconfig.json")).toBe("");
  expect(compile("examples/web/tsconfig.json")).toBe("");
  expect(readFileSync(join(copy, ".env.example"), "utf8")).toContain("#SUMMARISE_COST=2");
  expect(readFileSync(join(copy, "docs/reference/api.md"), "utf8")).toContain('"summarise"');
  expect(readFileSync(join(copy, "docs/reference/api.md"), "utf8")).toContain(
    "/api/text/word-count",
  );
  // What the authorisation matrix asks for (tests/integration/auth/matrix-rows.test.ts).
  const unlisted = execFileSync(
    process.execPath,
    [
      "--import",
      "tsx",
      "--input-type=module",
      "--eval",
      `import { appRouter } from "./server/routers/app.ts";
       import { rows } from "./tests/integration/auth/matrix-rows.ts";
       console.log(Object.keys(appRouter._def.procedures).filter((name) => !(name in rows)).join());`,
    ],
    { cwd: copy, encoding: "utf8" },
  );
  expect(unlisted.trim()).toBe("");
});
