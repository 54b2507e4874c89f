// The server as an operator runs it: a separate process with its environment, output and signals.
import { spawn } from "node:child_process";
import { type SandboxOptions, startSandbox } from "../../server/sandbox/src/sandbox.ts";
import { BUILT_VARIABLE, buildServer, ROOT } from "../bench/built.ts";
import { until } from "./until.ts";

const COMMAND_WITHIN_MS = 120_000;

/** A server process. */
export type ServerProcess = ReturnType<typeof spawnServer>;

/** Node.js arguments that run server/main.ts: the compiled build if this run has one, otherwise the source. */
export const SERVER_PROGRAM: readonly string[] =
  process.env[BUILT_VARIABLE] === undefined
    ? ["--import", import.meta.resolve("tsx"), `${ROOT}server/main.ts`]
    : [buildServer().file("server/main")];

/** Starts the sandbox for a server on loopback port `port`; resolves with it and the environment the server needs. */
export async function startStandIns(port: number, options: Partial<SandboxOptions> = {}) {
  const callback = `http://localhost:${port}/api/auth/google/callback`;
  const sandbox = await startSandbox({
    webhookUrl: `http://127.0.0.1:${port}/api/payment/webhook`,
    redirectUris: [callback],
    ...options,
  });
  return { sandbox, env: { PORT: String(port), ...sandbox.env, GOOGLE_CALLBACK_URL: callback } };
}

/** Runs a command of server/cli as an operator does, with only `env` (and PATH). */
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
 * Starts server/main.ts with only `env` (and PATH), so that none of this machine's own settings reach it. `program`
 * replaces the Node.js arguments.
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
    /** Resolves with the exit code, or -1 if it was killed by a signal. */
    exited,
    /** Resolves once /ready succeeds. Rejects with the output if the process ends first. */
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
