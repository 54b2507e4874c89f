// The program as production runs it: compiled with the project's own settings into a temporary folder.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** A compiled program. */
export interface Built {
  readonly folder: string;
  /** Returns the compiled file of a source, which is named relative to the root and without its extension. */
  file(source: string): string;
  drop(): void;
}

/** Names the folder that a run has compiled these sources into once, before its first suite (tests/faults/build.ts). */
export const BUILT_VARIABLE = "TEST_BUILT";

/**
 * Compiles the server and the processes of the benchmark and fault suites from the sources under `root`. Defaults to
 * this repository's, which are not compiled again if the run already has. tsx would wrap every closure and distort the
 * results.
 */
export function buildServer(root: string = ROOT): Built {
  const ofRun = process.env[BUILT_VARIABLE];
  if (ofRun !== undefined && root === ROOT) return builtIn(ofRun, () => undefined);
  const folder = mkdtempSync(join(tmpdir(), "skywork-bench-"));
  const drop = () => rmSync(folder, { recursive: true, force: true });
  try {
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const config = {
      extends: join(root, "tsconfig.build.json"),
      compilerOptions: { rootDir: root, outDir: folder, sourceMap: false },
      include: [
        "server/main.ts",
        "server/cli/commands/doctor.ts",
        "server/**/*.d.ts",
        "tests/bench/*.process.ts",
        "tests/faults/*.process.ts",
      ].map((path) => join(root, path)),
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    execFileSync(process.execPath, [TSC, "-p", folder], { stdio: "inherit" });
    for (const path of ["prisma/migrations", "prisma/sqlite/migrations"])
      cpSync(join(root, path), join(folder, path), { recursive: true });
  } catch (error) {
    drop();
    throw error;
  }
  return builtIn(folder, drop);
}

const builtIn = (folder: string, drop: () => void): Built => ({
  folder,
  file: (source) => join(folder, `${source}.js`),
  drop,
});
