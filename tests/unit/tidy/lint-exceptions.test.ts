// The limits on functions and import cycles apply everywhere: .oxlintrc.json lifts some for the sandbox's tests only.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const path = fileURLToPath(new URL("../../../.oxlintrc.json", import.meta.url));
const overrides = [
  ...readFileSync(path, "utf8").matchAll(/"files": \[([^\]]*)\],[^{}]*"rules": \{([^{}]*)\}/g),
];

/** The files of every override that turns `rule` off, or sets it to `weaker`. */
function letOff(rule: string, weaker = '"off"'): string[] {
  return overrides
    .filter(([, , rules = ""]) => rules.includes(`"${rule}": ${weaker}`))
    .flatMap(([, files = ""]) => [...files.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name));
}

test("functions keep to their length and parameters everywhere but in the sandbox's tests", () => {
  expect(letOff("max-lines-per-function")).toEqual(["server/sandbox/test/**"]);
  expect(letOff("max-params")).toEqual([]);
});

test("no file may stand in a circle of imports, types included", () => {
  expect(letOff("import/no-cycle")).toEqual([]);
  expect(letOff("import/no-cycle", '["error", { "ignoreTypes": true }]')).toEqual([]);
  expect(overrides.length).toBeGreaterThan(5);
});
