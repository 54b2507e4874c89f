// Which engines, with their versions, the suites covered: one line per run, and the README's table for a whole CI run.
import { isChosen, type EngineName } from "./engine-choice.ts";
import { type FoundServer, type Servers, shortName } from "./servers.ts";

/** An engine that the suites ran on. */
interface CoveredEngine extends Pick<FoundServer, "name"> {
  readonly engine: FoundServer["engine"] | "sqlite";
}

/** Returns what this run covers: engines with versions, a summary line, and whether a missing server is a failure. */
export function coverageOf(servers: Servers, choice: EngineName | null) {
  const sqlite = { engine: "sqlite" as const, name: `SQLite ${servers.sqlite}` };
  const engines: CoveredEngine[] = [sqlite, ...servers.databases].filter(({ engine }) =>
    isChosen(engine, choice),
  );
  if (servers.redis !== null) engines.push(servers.redis);
  const missing = servers.missing.map(({ name, reason }) => `${name} (${reason})`);
  const tail = missing.length === 0 ? "" : `; not covered: ${missing.join(", ")}`;
  return {
    engines: engines.map(({ engine, name }) => ({ engine, name })),
    line: `Engines covered: ${engines.map(({ name }) => name).join(", ")}${tail}`,
    /** Whether a server that was configured explicitly (or, in CI, any installed one) could not be used. */
    fails: servers.missing.some(({ fails }) => fails),
  };
}

/** Which suites a run executed and which engines it covered: one line of TEST_COVERAGE_FILE. */
export interface RecordedRun {
  readonly suites: string;
  readonly filters: readonly string[];
  readonly engines: readonly CoveredEngine[];
}

const ORDER: readonly CoveredEngine["engine"][] = ["sqlite", "mysql", "mariadb", "redis", "valkey"];

/** Parses the lines that the runs of one CI build have appended. */
export function readRuns(text: string): RecordedRun[] {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as RecordedRun);
}

/** Returns a Markdown table with a row per engine and minor version, listing the suites that ran on it. */
export function coverageTable(runs: readonly RecordedRun[]): string {
  const rows = new Map<string, { engine: CoveredEngine["engine"]; suites: Set<string> }>();
  for (const run of runs) {
    for (const { engine, name } of run.engines) {
      const release = shortName({ name });
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

/** The folders of the filters: `integration/ledger/` yields `ledger`, `contract/cache` yields `contract`. */
function suitesOf({ suites, filters }: RecordedRun): string[] {
  if (filters.length > 0) return filters.map((path) => /([^/]+)\/[^/]*$/.exec(path)?.[1] ?? path);
  return [suites === "all" ? "every suite" : suites];
}
