// `npm run coverage:write`: writes the README's table of engines from what the last .ci/run covered. --check compares.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { coverageTable, readRuns } from "./coverage.ts";

const ROOT = new URL("../../", import.meta.url);
const README = new URL("README.md", ROOT);
const RECORD = new URL(".data/coverage.jsonl", ROOT);
const TABLE = /(<!-- engines -->\n)[\s\S]*?(\n<!-- \/engines -->)/;

if (!existsSync(RECORD)) throw new Error("There is no record of a run of .ci/run.");
const table = coverageTable(readRuns(readFileSync(RECORD, "utf8")));
const readme = readFileSync(README, "utf8");
const written = readme.replace(
  TABLE,
  (_, before: string, after: string) => `${before}${table}${after}`,
);
if (!process.argv.includes("--check")) writeFileSync(README, written);
else if (written !== readme) {
  process.stderr.write(
    `The README's table of engines is not what was tested. Run npm run coverage:write, and commit:\n${table}\n`,
  );
  process.exitCode = 1;
}
