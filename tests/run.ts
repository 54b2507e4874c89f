// `npm test`, `test:faults` and `test:browser`: which checks and suites run, and the lines a reader (or CI) ends on.
// --engine sqlite|mysql|mariadb runs them on that engine alone, which is started where none of it answers.
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startVitest, type TestModule } from "vitest/node";
import { coverageOf, type RecordedRun } from "./support/coverage.ts";
import { type EngineName, parseEngine } from "./support/engine-choice.ts";
import { type EngineNeeds, prepareServers } from "./support/prepare-servers.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** What failed, a line each, for TEST_FAILURES_FILE: the end of a log is what CI keeps. */
  readonly failures: string[];
}

function fail(tally: Tally, what: string, error?: { readonly message: string }): void {
  tally.failed += 1;
  const reason = error?.message.split("\n").find((line) => line.trim() !== "");
  tally.failures.push(reason === undefined ? what : `${what}: ${reason.slice(0, 300)}`);
}

interface Check {
  name: string;
  /** A script under node_modules, run by this Node.js: npx would cost a second each. */
  script: string;
  args: readonly string[];
}

const CHECKS: readonly Check[] = [
  { name: "types of the server", script: "typescript/bin/tsc", args: ["-p", "tsconfig.json"] },
  {
    name: "types of the frontend",
    script: "typescript/bin/tsc",
    args: ["--noEmit", "-p", "examples/web/tsconfig.json"],
  },
  { name: "oxlint", script: "oxlint/bin/oxlint", args: ["--type-aware", "--deny-warnings"] },
  { name: "formatting", script: "@biomejs/biome/bin/biome", args: ["format"] },
  { name: "dead code", script: "knip/bin/knip.js", args: ["--no-progress"] },
];

interface Command {
  checks: readonly Check[];
  suites: readonly string[];
  engines: EngineNeeds;
}

/** The suites of each command. `npm test -- ledger` runs only the files whose path contains "ledger", unchecked. */
const COMMANDS: Record<string, Command> = {
  all: {
    engines: "found",
    checks: CHECKS,
    suites: ["unit", "contract", "sandbox", "integration", "simulation", "e2e", "consumer"],
  },
  faults: { checks: [], suites: ["faults"], engines: "every" },
  browser: { checks: [], suites: ["browser"], engines: "sqlite" },
};

async function runCheck(check: Check): Promise<boolean> {
  const startedAtMs = Date.now();
  const child = spawn(process.execPath, [`${root}node_modules/${check.script}`, ...check.args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${check.name} (${seconds} s)`);
  if (code !== 0) console.log(output.trimEnd());
  return code === 0;
}

/** Two at a time: the machine CI promises has two cores. */
async function runChecks(checks: readonly Check[], tally: Tally): Promise<void> {
  const queue = [...checks];
  const lane = async (): Promise<void> => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      if (await runCheck(check)) tally.passed += 1;
      else fail(tally, check.name);
    }
  };
  await Promise.all([lane(), lane()]);
}

function countModule(module: TestModule, tally: Tally): void {
  // A file that cannot be loaded has no tests to count; it is one failure, never silence.
  const file = `${module.project.name} ${module.relativeModuleId}`;
  if (module.errors().length > 0) fail(tally, file, module.errors()[0]);
  let unfinished = 0;
  for (const test of module.children.allTests()) {
    const { state, errors } = test.result();
    if (state === "passed") tally.passed += 1;
    else if (state === "skipped") tally.skipped += 1;
    else fail(tally, `${file} > ${test.fullName}`, errors?.[0]);
    if (state === "pending") unfinished += 1;
  }
  // Vitest does not say which file was running in a process that ended on its own.
  if (unfinished > 0) {
    console.log(
      `FAIL ${module.relativeModuleId}: its process ended with ${unfinished} tests to go`,
    );
  }
  for (const suite of module.children.allSuites()) {
    for (const error of suite.errors()) fail(tally, `${file} > ${suite.fullName}`, error);
  }
}

async function runSuites(
  suites: readonly string[],
  filters: string[],
  tally: Tally,
): Promise<void> {
  const vitest = await startVitest("test", filters, {
    project: suites.flatMap((suite) => [suite, `${suite}-*`]),
    run: true,
    watch: false,
    passWithNoTests: true,
  });
  const modules = vitest.state.getTestModules();
  for (const module of modules) countModule(module, tally);
  for (const error of vitest.state.getUnhandledErrors()) {
    fail(tally, "an error that no test caught", error instanceof Error ? error : undefined);
  }
  if (filters.length === 0) {
    for (const suite of suites) {
      if (modules.some(({ project }) => `${project.name}-`.startsWith(`${suite}-`))) continue;
      console.log(`FAIL the suite "${suite}" has no tests`);
      fail(tally, `the suite "${suite}" has no tests`);
    }
  } else if (modules.length === 0) {
    const failure = `no test file's path contains ${filters.join(" or ")}`;
    console.log(`FAIL ${failure}`);
    fail(tally, failure);
  }
  await vitest.close();
}

interface Arguments {
  readonly name: string;
  readonly command: Command;
  readonly choice: EngineName | null;
  readonly filters: string[];
}

function readArguments(): Arguments {
  try {
    const { values, positionals } = parseArgs({
      options: { engine: { type: "string" } },
      allowPositionals: true,
    });
    const [name = "all", ...filters] = positionals;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw new Error(`There is no command "${name}".`);
    return { name, command, choice: parseEngine(values.engine), filters };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    const commands = Object.keys(COMMANDS).join("|");
    console.error(`Usage: tests/run.ts ${commands} [--engine NAME] [path filter …]`);
    return process.exit(2);
  }
}

async function main(): Promise<void> {
  const { name, command, choice, filters } = readArguments();
  const servers = await prepareServers(choice, command.engines);
  // The suites run in processes of their own: what was found here is what they use.
  process.env["TEST_SERVERS"] = JSON.stringify(servers);
  process.env["TEST_ENGINE"] = choice ?? "";
  const tally: Tally = { passed: 0, failed: 0, skipped: 0, failures: [] };
  if (filters.length === 0) await runChecks(command.checks, tally);
  await runSuites(command.suites, filters, tally);
  const coverage = coverageOf(servers, choice);
  console.log(coverage.line);
  const { TEST_COVERAGE_FILE: record, TEST_FAILURES_FILE: failures } = process.env;
  const run: RecordedRun = { suites: name, filters, engines: coverage.engines };
  if (record) appendFileSync(record, `${JSON.stringify(run)}\n`);
  if (coverage.fails) fail(tally, coverage.line);
  if (failures) for (const line of tally.failures) appendFileSync(failures, `${line}\n`);
  console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
  process.exit(tally.failed === 0 ? 0 : 1);
}

await main();
