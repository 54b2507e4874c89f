// Owns how the test suites run: one project for each kind of proof, each with the time it may take.
import { join } from "node:path";
import { defineConfig } from "vitest/config";

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
}

const SUITES: readonly Suite[] = [
  {
    name: "unit",
    folders: ["tests/unit", "examples/web/test"],
    timeoutMs: 20_000,
    parallel: true,
  },
  { name: "contract", timeoutMs: 30_000, parallel: true },
  { name: "sandbox", folders: ["server/sandbox/test"], timeoutMs: 60_000, parallel: true },
  { name: "integration", timeoutMs: 60_000, parallel: true },
  { name: "simulation", timeoutMs: 60_000, parallel: true },
  { name: "e2e", timeoutMs: 60_000, parallel: true },
  { name: "consumer", timeoutMs: 300_000, parallel: true },
  { name: "faults", timeoutMs: 600_000, parallel: false },
  {
    name: "browser",
    globalSetup: "tests/browser/frontend.ts",
    timeoutMs: 180_000,
    parallel: false,
  },
];

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: SUITES.map(
      ({ name, folders = [`tests/${name}`], globalSetup, timeoutMs, parallel }, index) => ({
        extends: true as const,
        test: {
          name,
          include: folders.map((folder) => `${folder}/**/*.test.{ts,tsx}`),
          // The frontend reads the client package from its sources, as its own build does.
          alias: { "@skywork/shared": join(import.meta.dirname, "shared/src/index.ts") },
          ...(globalSetup && { globalSetup }),
          pool: "forks" as const,
          fileParallelism: parallel,
          testTimeout: timeoutMs,
          hookTimeout: timeoutMs * 2,
          // Cheap suites first: a broken rule is told before a server is started.
          sequence: { groupOrder: index },
        },
      }),
    ),
  },
});
