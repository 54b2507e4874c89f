// Follows docs/guides/add-a-feature.md on a copy of the repository: five files, three commands, and everything compiles.
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "skywork-feature-"));
const guide = readFileSync(join(root, "docs/guides/add-a-feature.md"), "utf8");

/** Links every package, but our own, which must be the copy's. */
function linkPackages(folder: string): void {
  const packages = join(copy, folder, "node_modules");
  mkdirSync(join(packages, "@skywork"), { recursive: true });
  for (const name of readdirSync(join(root, folder, "node_modules")))
    if (name !== "@skywork" && !name.startsWith(".vite"))
      symlinkSync(join(root, folder, "node_modules", name), join(packages, name));
  symlinkSync(join(copy, "shared"), join(packages, "@skywork/shared"));
}

/** The first block of code under the heading that names `file`. */
function blockFor(file: string): string {
  const section = guide.slice(guide.indexOf(`\`${file}\`\n`));
  const code = /```ts\n([\s\S]*?)```/.exec(section)?.[1];
  if (code === undefined) throw new Error(`The guide has no code for ${file}`);
  return code;
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
    [join(root, "node_modules/typescript/bin/tsc"), "--noEmit", "--pretty", "false", "-p", project],
    { cwd: copy, encoding: "utf8" },
  );
  return stdout.trim();
}

beforeAll(() => {
  const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" });
  for (const file of tracked.split("\0").filter((name) => name !== ""))
    cpSync(join(root, file), join(copy, file));
  cpSync(join(root, "prisma/generated"), join(copy, "prisma/generated"), { recursive: true });
  linkPackages("");
});

afterAll(() => rmSync(copy, { recursive: true, force: true }));

test("compiles with a feature added by the guide in five files", () => {
  edit("shared/src/features.ts", "FEATURE_TABLE = {", "} as const satisfies");
  edit("shared/src/ai.ts", "export const startInput", "]);\n");
  edit("server/ai/prompts.ts", "export function promptOf", '    case "ppt-generate":');
  edit("examples/web/src/data/chats.ts", "export const CHAT_FEATURES", null);
  edit("examples/web/src/pages/home.tsx", "const FEATURE_PLACES", "};\n");
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
});
