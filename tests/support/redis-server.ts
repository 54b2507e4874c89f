// Redis servers on loopback without persistence: a test's own, which can be killed, frozen, restarted, or lasting ones.
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { installEngine } from "./engines/install.ts";
import { ENV, isInstalled } from "./engines/programs.ts";
import { freePort, isFree } from "./ports.ts";
import { until } from "./until.ts";

const START_WITHIN_MS = 20_000;

/** Whether redis-server is installed here. */
export const redisServerInstalled = isInstalled("redis-server");

/** A server. `start` after `kill` uses the same port and starts empty. */
export type RedisServer = Awaited<ReturnType<typeof startRedisServer>>;

/** Starts a server for one test. */
export async function startRedisServer() {
  const port = await freePort();
  let child: ChildProcess | undefined;
  const server = {
    port,
    async start() {
      child = await run(["redis-server"], { port });
    },
    async kill() {
      if (child === undefined || child.exitCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
      child = undefined;
    },
    /** Stops it from responding without closing any connection. */
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
  };
  await server.start();
  return server;
}

/** Starts a server that outlives this process, with its pid and log in `folder`. Resolves with its URL. */
export async function startLastingKeyValueServer(
  engine: "redis" | "valkey",
  port: number,
  folder: string,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const command = engine === "redis" ? ["redis-server"] : (await installEngine(engine)).command;
  const files = { dir: folder, pidfile: join(folder, "pid"), logfile: join(folder, "error.log") };
  const child = await run(command, { port, ...files }, { detached: true });
  child.unref();
  return `redis://127.0.0.1:${port}`;
}

/** Starts a server; resolves once it is listening. */
async function run(
  [executable = "", ...before]: readonly string[],
  settings: Readonly<Record<string, string | number>> & { port: number },
  options: SpawnOptions = {},
): Promise<ChildProcess> {
  const all = { bind: "127.0.0.1", save: "", appendonly: "no", ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(executable, [...before, ...args], { env: ENV, stdio: "ignore", ...options });
  let failure: Error | undefined;
  child.once("error", (error) => (failure = error));
  const listens = async () => {
    if (failure !== undefined) throw failure;
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}.`);
    return !(await isFree(settings.port));
  };
  await until(listens, { withinMs: START_WITHIN_MS, everyMs: 25 }).catch((cause: unknown) => {
    child.kill("SIGKILL");
    throw new Error(`${executable} ${args.join(" ")} does not listen`, { cause });
  });
  return child;
}
