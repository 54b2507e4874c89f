// House rules about text rather than syntax, which no linter checks.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Tracked and new source files, as git sees them; ignored files need not be tidy. */
const files = execFileSync(
  "git",
  [
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "--deduplicate",
    "*.ts",
    "*.tsx",
    "*.mjs",
  ],
  { cwd: root, encoding: "utf8" },
)
  .split("\n")
  .filter((path) => path !== "")
  .flatMap((path) => {
    try {
      return [{ path, text: readFileSync(`${root}/${path}`, "utf8") }];
    } catch {
      // Deleted in the working tree but not in the index yet.
      return [];
    }
  });

// Written with groups so that this file does not match its own patterns.
const SILENCERS =
  /@ts-(?:ignore|nocheck)|(?:ox|es)lint-(?:disable)|biome-(?:ignore)|(?:c8|v8|istanbul) (?:ignore)/;
const EXPECTS_TYPE_ERROR = /@ts-expect-(?:error)/;

describe("house rules", () => {
  test("there are files to look at", () => {
    expect(files.length).toBeGreaterThan(50);
  });

  test("nothing silences a tool: a rule that is wrong is changed in its configuration, for everyone", () => {
    const silenced = files.filter(({ text }) => SILENCERS.test(text));
    expect(silenced.map(({ path }) => path)).toEqual([]);
  });

  test("an expected type error is a test of types, so it stands in a test", () => {
    const expecting = files.filter(
      ({ path, text }) => !path.startsWith("tests/") && EXPECTS_TYPE_ERROR.test(text),
    );
    expect(expecting.map(({ path }) => path)).toEqual([]);
  });

  test("relative imports carry .ts, or Node.js could not run the sources", () => {
    const bare = files
      .filter(({ path }) => !path.startsWith("examples/web/") && path.endsWith(".ts"))
      .flatMap(({ path, text }) =>
        [...text.matchAll(/^(?:import|export)[^"';]* from "(\.[^"]*)"/gm)]
          .filter(([, specifier = ""]) => !/\.(ts|mjs|json)$/.test(specifier))
          .map(([, specifier]) => `${path}: ${specifier}`),
      );
    expect(bare).toEqual([]);
  });

  test("elapsed time is measured by a clock that nobody sets: performance.now(), not Date.now()", () => {
    // A wall-clock deadline is never reached if the clock is set back, and is reached immediately if it is set forward.
    const ELAPSED =
      /Date\.now\(\)\)?\s*(?:-\s*\w*[aA]t|[<>])|[<>]=?\s*Date\.now\(\)|= Date\.now\(\) \+/;
    const wrong = files
      .filter(({ path }) => /^server\/(?!sandbox\/)|^shared\/src\//.test(path))
      .filter(({ text }) => ELAPSED.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});
