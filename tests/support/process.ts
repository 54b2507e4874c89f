// The server as an operator runs it: a process of its own with an environment, its output, its signals.
import { spawn } from "node:child_process";
import { type SandboxOptions, startSandbox } from "../../server/sandbox/src/sandbox.ts";
import { BUILT_VARIABLE, buildServer, ROOT } from "../bench/built.ts";
import { until } from "./until.ts";

const COMMAND_WITHIN_MS = 120_000;

/** A server process. */
export type ServerProcess = ReturnType<typeof spawnServer>;

/** What Node.js is told to run server/main.ts: compiled where the run has built it, else from its source. */
export const SERVER_PROGRAM: readonly string[] =
  process.env[BUILT_VARIABLE] === undefined
    ? ["--import", import.meta.resolve("tsx"), `${ROOT}server/main.ts`]
    : [buildServer().file("server/main")];

/** The stand-ins of a server that is reached at loopback port `port`, and what it has to be told of them. */
export async function startStandIns(port: number, options: Partial<SandboxOptions> = {}) {
  const callback = `http://localhost:${port}/api/auth/google/callback`;
  const sandbox = await startSandbox({
    webhookUrl: `http://127.0.0.1:${port}/api/payment/webhook`,
    redirectUris: [callback],
    ...options,
  });
  return { sandbox, env: { PORT: String(port), ...sandbox.env, GOOGLE_CALLBACK_URL: callback } };
}

/** Runs a command of server/cli as an operator does, with `env` alone (and PATH). */
export function runCommand(name: string, env: Record<string, string>, cwd = ROOT) {
  const child = spawn(process.execPath, [`${ROOT}server/cli/run.mjs`, name], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: COMMAND_WITHIN_MS,
    killSignal: "SIGKILL",
  });
  const told = { code: -1, out: "", err: "", output: "" };
  for (const stream of ["out", "err"] as const)
    child[`std${stream}`].on("data", (chunk: Buffer) => {
      told[stream] += chunk.toString();
      told.output += chunk.toString();
    });
  return new Promise<typeof told>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ ...told, code: code ?? -1 }));
  });
}

/**
 * Starts server/main.ts with `env` alone (and PATH): nothing of this machine's own settings reaches it. `program` is
 * what Node.js is told to run in its place.
 */
export function spawnServer(
  env: Record<string, string>,
  program: readonly string[] = SERVER_PROGRAM,
) {
  const child = spawn(process.execPath, program, {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", LOG_LEVEL: "warn", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
  const url = `http://127.0.0.1:${env["PORT"] ?? "5000"}`;
  return {
    url,
    child,
    /** Everything it has written so far. */
    output: () => output,
    /** Resolves with the exit code; -1 when a signal ended it. */
    exited,
    /** Resolves once /ready says yes. Rejects, with the output, when the process ends first. */
    ready(withinMs = 120_000) {
      let last = "never asked";
      const isReady = async () => {
        if (child.exitCode !== null || child.signalCode !== null) {
          await exited;
          throw new Error(`The server ended:\n${output}`);
        }
        const answer = await fetch(`${url}/ready`).catch(() => null);
        last = answer === null ? "no answer" : `${answer.status} ${await answer.text()}`;
        return answer?.status === 200;
      };
      return until(isReady, {
        withinMs,
        otherwise: () => `The server is not ready: ${last}\n${output}`,
      });
    },
  };
}
