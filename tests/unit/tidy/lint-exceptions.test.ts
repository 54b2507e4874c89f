// The files let off a rule of .oxlintrc.json need it: once a file is within the rule, its exception has to go.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const config = readFileSync(join(root, ".oxlintrc.json"), "utf8");

/** The files of the override that sets `rule` to `setting`; folders are left out. */
function excepted(rule: string, setting: string): string[] {
  const overrides = [...config.matchAll(/"files": \[([^\]]*)\],\s*"rules": \{([^}]*)\}/g)];
  const found = overrides.find(([, , rules = ""]) => rules.includes(`"${rule}": ${setting}`));
  const names = [...(found?.[1] ?? "").matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name);
  return names.filter((name) => !name.includes("*"));
}

/** The files among server, shared and tests that `rule` complains of without exceptions. */
function complaints(rule: string, options: unknown): Set<string> {
  const folder = mkdtempSync(join(tmpdir(), "skywork-lint-"));
  const path = join(folder, "oxlintrc.json");
  const categories = { correctness: "off" };
  writeFileSync(
    path,
    JSON.stringify({ plugins: ["import"], categories, rules: { [rule]: options } }),
  );
  const { stdout } = spawnSync(
    process.execPath,
    [
      join(root, "node_modules/oxlint/bin/oxlint"),
      ...["-c", path, "--format", "unix", "server", "shared", "tests"],
    ],
    { cwd: root, encoding: "utf8", maxBuffer: 64_000_000 },
  );
  rmSync(folder, { recursive: true });
  return new Set(stdout.split("\n").map((line) => line.split(":", 1)[0] ?? ""));
}

test.each([
  [
    "max-lines-per-function",
    '"off"',
    ["error", { max: 70, skipBlankLines: true, skipComments: true }],
  ],
  ["import/no-cycle", '["error", { "ignoreTypes": true }]', ["error", { ignoreTypes: false }]],
])("every file let off %s needs it", (rule, setting, options) => {
  const found = complaints(rule, options);
  expect(excepted(rule, setting).filter((file) => !found.has(file))).toEqual([]);
});
