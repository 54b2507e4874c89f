// The processes a benchmark measures: started with their own environment, stopped with the run.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../support/ports.ts";

const READY_WITHIN_MS = 30_000;
/** The Node.js flags of `npm start`; what a row is compared with gets them, too. */
export const START_FLAGS = ["--max-semi-space-size=32", "--no-allocation-site-pretenuring"];

/** Starts a compiled file of tests/bench. Its stdout is discarded, because a log collector's cost is not ours. */
export function startChild(file: string, env: Readonly<Record<string, string>> = {}) {
  const child: ChildProcess = fork(file, [], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    execArgv: START_FLAGS,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const ended = once(child, "exit");
  return {
    /** Sends `question` (null: only listens); resolves with the next message. Rejects if the process ends instead. */
    ask: async <Answer>(question: unknown) => {
      const answer = once(child, "message");
      if (question !== null) child.send(question as object);
      const end = ended.then(([code]) => {
        throw new Error(`${file} ended (${String(code)}).`);
      });
      const [message] = (await Promise.race([answer, end])) as [Answer];
      return message;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      // Each of them exits when its parent disconnects.
      child.disconnect();
      await ended;
    },
  };
}

/** Starts Node.js as a server with `env`, and polls `path` every `everyMs` until it answers 200. */
export async function startServer(
  nodeArguments: readonly string[],
  env: Readonly<Record<string, string>>,
  { path = "/ready", everyMs = 20 } = {},
) {
  const port = await freePort();
  const startedAt = performance.now();
  const child = spawn(process.execPath, nodeArguments, {
    env: { PATH: process.env["PATH"] ?? "", ...env, HOST: "127.0.0.1", PORT: String(port) },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit") as Promise<[number | null]>;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}.`);
    const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.status === 200) break;
    if (performance.now() > startedAt + READY_WITHIN_MS) {
      child.kill("SIGKILL");
      throw new Error("The server did not get ready.");
    }
    await delay(everyMs);
  }
  return {
    port,
    pid: child.pid ?? 0,
    /** From the start of the process to its first 200. */
    tookMs: performance.now() - startedAt,
    async kill() {
      if (child.kill("SIGKILL")) await ended;
    },
    /** Sends SIGTERM and waits for the end. Throws if it was not a clean one. */
    async stop() {
      if (child.exitCode !== null) return;
      child.kill("SIGTERM");
      const [code] = await ended;
      if (code !== 0) throw new Error(`The server ended with ${code} when it was stopped.`);
    },
  };
}
