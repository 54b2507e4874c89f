// How the suites run: one project for each kind of proof and, where its files name a back end, for each back end.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { availableBackends, type BackendChoice } from "./tests/support/servers.ts";

interface Suite {
  name: string;
  /** For one test; hooks get twice as long, because they start servers. */
  timeoutMs: number;
  /** Where its files are; defaults to `tests/NAME`. */
  folders?: readonly string[];
  /** Runs before its first file. */
  globalSetup?: string;
  /** False where the suite starts servers of its own, or kills them: two at once would fight for 2 cores. */
  parallel: boolean;
  /**
   * True where files follow each other in one process, with one module graph: to load the server and Prisma takes longer
   * than most files run. No file of such a suite may leave a global, a module or an environment variable changed.
   */
  shared: boolean;
}

const SUITES: readonly Suite[] = [
  {
    name: "unit",
    folders: ["tests/unit", "examples/web/test"],
    timeoutMs: 20_000,
    parallel: true,
    shared: false,
  },
  { name: "contract", timeoutMs: 30_000, parallel: true, shared: true },
  {
    name: "sandbox",
    folders: ["server/sandbox/test"],
    timeoutMs: 60_000,
    parallel: true,
    shared: true,
  },
  { name: "integration", timeoutMs: 60_000, parallel: true, shared: true },
  { name: "simulation", timeoutMs: 60_000, parallel: true, shared: false },
  { name: "e2e", timeoutMs: 60_000, parallel: true, shared: true },
  { name: "consumer", timeoutMs: 300_000, parallel: true, shared: false },
  {
    name: "faults",
    globalSetup: "tests/faults/build.ts",
    timeoutMs: 600_000,
    parallel: false,
    shared: false,
  },
  {
    name: "browser",
    globalSetup: "tests/browser/frontend.ts",
    timeoutMs: 180_000,
    parallel: false,
    shared: true,
  },
];

/** Files that import it run once for each back end, the others once. */
const NAMES_BACKEND = /from "[./]+\/support\/backend\.ts"/;

const backends = await availableBackends();

/** `integration` for the files that run once, then `integration-sqlite`, `integration-mysql-9.7`, … */
function projectsOf(suite: Suite): TestProjectInlineConfiguration[] {
  const { name, folders = [`tests/${name}`] } = suite;
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => /\.test\.tsx?$/.test(file) && !file.includes("node_modules"))
      .map((file) => `${folder}/${file}`),
  );
  const onEach = new Set(files.filter((file) => NAMES_BACKEND.test(readFileSync(file, "utf8"))));
  const once = files.filter((file) => !onEach.has(file));
  const projects = once.length === 0 ? [] : [projectOf(suite, name, once)];
  if (onEach.size > 0)
    for (const backend of backends)
      projects.push(projectOf(suite, `${name}-${labelOf(backend)}`, [...onEach], backend));
  return projects;
}

function projectOf(
  { globalSetup, timeoutMs, parallel, shared }: Suite,
  name: string,
  files: readonly string[],
  backend?: BackendChoice,
): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [...files],
      // The frontend reads the client package from its sources, as its own build does.
      alias: { "@skywork/shared": join(import.meta.dirname, "shared/src/index.ts") },
      ...(backend === undefined ? {} : { provide: { backend } }),
      globalSetup: ["tests/support/global-setup.ts", ...(globalSetup ? [globalSetup] : [])],
      pool: "forks",
      fileParallelism: parallel,
      isolate: !shared,
      testTimeout: timeoutMs,
      hookTimeout: timeoutMs * 2,
    },
  };
}

function labelOf({ name, database, redis }: BackendChoice): string {
  if (database === null) return redis === null ? "sqlite" : "sqlite-redis";
  const label = name
    .replace(/ (and|without) .*/, "")
    .toLowerCase()
    .replace(" ", "-");
  const isOnly = backends.filter((other) => other.name === name).length === 1;
  return isOnly ? label : `${label}-${new URL(database).port}`;
}

// Cheap suites first: a broken rule is told before a server is started.
let group = 0;
const projects = SUITES.flatMap((suite) => {
  const ofSuite = projectsOf(suite);
  group += 1;
  return ofSuite.map((project) => ({
    ...project,
    // Suites that do not run in parallel do not do so over back ends, either.
    test: { ...project.test, sequence: { groupOrder: suite.parallel ? group : (group += 1) } },
  }));
});

export default defineConfig({
  test: {
    maxWorkers: 3,
    projects,
    // Polls end with what they wait for; by default they give up after a second.
    expect: { poll: { timeout: 15_000 } },
    // Each project transforms what it imports by itself; with the cache, only the first does.
    experimental: { fsModuleCache: true },
  },
});
