// The program as production runs it: compiled by the project's own settings, into a folder that is thrown away.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** A compiled program. */
export interface Built {
  /** The compiled file of a source, named from the root and without its extension. */
  file(source: string): string;
  drop(): void;
}

/**
 * Compiles the server and the benchmark's own processes of the sources under `root`; defaults to these. tsx would wrap
 * every closure and measure that, too.
 */
export function buildServer(root: string = ROOT): Built {
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
  return { file: (source) => join(folder, `${source}.js`), drop };
}
