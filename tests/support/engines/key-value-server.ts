// A Redis or Valkey that outlives the process that starts it; tests that kill one use ../redis-server.ts.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { installEngine } from "./install.ts";
import { isFree } from "./ports.ts";
import { ENV } from "./programs.ts";

const START_WITHIN_MS = 20_000;

/** Starts a server that keeps nothing on disk, with its pid in `folder`; resolves with its URL once it listens. */
export async function startLastingKeyValueServer(
  engine: "redis" | "valkey",
  port: number,
  folder: string,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const [executable, ...before]: readonly string[] =
    engine === "redis" ? ["redis-server"] : (await installEngine(engine)).command;
  const settings = {
    ...{ port, bind: "127.0.0.1", dir: folder, pidfile: join(folder, "pid") },
    ...{ logfile: join(folder, "error.log"), save: "", appendonly: "no" },
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(executable ?? "", [...before, ...args], {
    env: ENV,
    stdio: "ignore",
    detached: true,
  });
  child.unref();
  let failure: Error | undefined;
  child.once("error", (error) => (failure = error));
  const giveUpAtMs = Date.now() + START_WITHIN_MS;
  while (child.exitCode === null && Date.now() < giveUpAtMs) {
    if (failure !== undefined) throw failure;
    if (!(await isFree(port))) return `redis://127.0.0.1:${port}`;
    await sleep(25);
  }
  child.kill("SIGKILL");
  throw new Error(`${engine} does not answer: see ${join(folder, "error.log")}`);
}
