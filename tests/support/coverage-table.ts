// The README's table of engines: which versions CI's own runs covered, and with which suites.
import type { CoveredEngine, CoveredRun } from "./coverage.ts";

/** One run as it was recorded. */
export type RecordedRun = CoveredRun & { readonly engines: readonly CoveredEngine[] };

const ORDER: readonly CoveredEngine["engine"][] = ["sqlite", "mysql", "mariadb", "redis", "valkey"];

/** Reads the lines that the runs of one CI have appended. */
export function readRuns(text: string): RecordedRun[] {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as RecordedRun);
}

/** A row for each engine and minor version, with the suites that ran on it. */
export function coverageTable(runs: readonly RecordedRun[]): string {
  const rows = new Map<string, { engine: CoveredEngine["engine"]; suites: Set<string> }>();
  for (const run of runs) {
    for (const { engine, name } of run.engines) {
      // The last number changes with every security update of a distribution.
      const release = name.replace(/(\d+\.\d+)\.\d+.*$/, "$1");
      const row = rows.get(release) ?? { engine, suites: new Set() };
      for (const suite of suitesOf(run)) row.suites.add(suite);
      rows.set(release, row);
    }
  }
  const sorted = [...rows].sort(
    ([one, a], [other, b]) =>
      ORDER.indexOf(a.engine) - ORDER.indexOf(b.engine) ||
      one.localeCompare(other, "en", { numeric: true }),
  );
  const lines = sorted.map(([name, { suites }]) => `| ${name} | ${[...suites].join(", ")} |`);
  return ["| engine | suites CI runs on it |", "|---|---|", ...lines].join("\n");
}

/** `integration/ledger/` is the ledger's suites. */
function suitesOf({ suites, filters }: CoveredRun): string[] {
  if (filters.length > 0)
    return filters.map((path) => path.split("/").findLast((part) => part !== "") ?? path);
  return [suites === "all" ? "every suite" : suites];
}
