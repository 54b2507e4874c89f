// The sentence that says which engines, with their versions, a test run covered.
import { appendFileSync } from "node:fs";
import type { Servers } from "./servers.ts";
import { isChosen, type EngineName } from "./engine-choice.ts";

/** An engine the suites ran on. */
export interface CoveredEngine {
  readonly engine: EngineName | "redis" | "valkey";
  readonly name: string;
}

interface Coverage {
  readonly engines: readonly CoveredEngine[];
  readonly line: string;
  /** True where a server that was named (or any that is there, in CI) could not be used. */
  readonly fails: boolean;
}

/** What the suites of this run cover: engine names with versions, one line, and whether a missing server is a failure. */
export function coverageOf(servers: Servers, choice: EngineName | null): Coverage {
  const engines: readonly CoveredEngine[] = [
    { engine: "sqlite" as const, name: `SQLite ${servers.sqlite}` },
    ...servers.databases.map(({ engine, name }) => ({ engine: engine as EngineName, name })),
  ].filter(({ engine }) => isChosen(engine, choice));
  const covered = servers.redis === null ? engines : [...engines, servers.redis];
  const missing = servers.missing.map(({ name, reason }) => `${name} (${reason})`);
  const tail = missing.length === 0 ? "" : `; not covered: ${missing.join(", ")}`;
  return {
    engines: covered.map(({ engine, name }) => ({ engine, name })),
    line: `Engines covered: ${covered.map(({ name }) => name).join(", ")}${tail}`,
    fails: servers.missing.some(({ fails }) => fails),
  };
}

/** Which suites a run was about. */
export interface CoveredRun {
  readonly suites: string;
  readonly filters: readonly string[];
}

/** Appends what a run covered to `file`, from which CI writes the README's table; nothing where no file is named. */
export function recordCoverage(
  file: string | undefined,
  run: CoveredRun,
  { engines }: Pick<Coverage, "engines">,
): void {
  if (file !== undefined && file !== "")
    appendFileSync(file, `${JSON.stringify({ ...run, engines })}\n`);
}
