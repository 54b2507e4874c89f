// Runs the commands of this workspace's packages, wherever npm has installed them.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** This workspace. */
export const here = dirname(fileURLToPath(import.meta.url));
/** The whole project. */
export const root = join(here, "../../..");

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly output: string;
}

/** Runs a Node.js script in `cwd`, for 50 s at most. */
export function run(
  script: string,
  parameters: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [script, ...parameters],
      {
        cwd: options.cwd,
        // None of these tools may check for updates or send telemetry.
        env: {
          ...process.env,
          NO_COLOR: "1",
          REDOCLY_TELEMETRY: "off",
          REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
          ...options.env,
        },
        timeout: 50_000,
        maxBuffer: 50_000_000,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, stdout, output: `${stdout}${stderr}` });
      },
    );
  });
}

/** Returns the script behind a command of this workspace's packages. */
export function commandOf(command: string): string {
  const paths = [here, root].map((base) => join(base, "node_modules/.bin", command));
  const path = paths.find((one) => existsSync(one));
  if (path === undefined) throw new Error(`${command} is not installed.`);
  return path;
}
