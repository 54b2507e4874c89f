// A server killed and restarted on the same port, database and environment, and a door at which its clients wait.
import { readFile } from "node:fs/promises";
import { deferred } from "../../support/deferred.ts";
import { runCommand, type ServerProcess, spawnServer } from "../../support/process.ts";

/** How long a start took, in milliseconds. */
export interface Start {
  readonly tookMs: number;
  /** Excludes the time in which it was runnable but other processes had the processors. */
  readonly ownMs: number;
}

/** A server that is killed and restarted repeatedly. */
export type ServerLives = ReturnType<typeof createServerLives>;

/** Creates a server with this environment, not started yet. `program` is spawnServer's. `env.PORT` must be free. */
export function createServerLives(env: Record<string, string>, program?: readonly string[]) {
  const starts: Start[] = [];
  const past: string[] = [];
  let kills = 0;
  let ends = 0;
  let life: ServerProcess | null = null;
  let door = deferred();
  let isOpen = false;

  function begin(): ServerProcess {
    if (life !== null) throw new Error("The server lives already.");
    life = spawnServer(env, program);
    return life;
  }

  async function end(signal: NodeJS.Signals): Promise<number> {
    if (isOpen) {
      isOpen = false;
      door = deferred();
    }
    if (life === null) return 0;
    const ending = life;
    ends += 1;
    ending.child.kill(signal);
    const code = await ending.exited;
    past.push(ending.output());
    life = null;
    return code;
  }

  async function die(): Promise<void> {
    const code = await end("SIGKILL");
    // -1: killed by the signal. Any other code means that it had exited on its own just before.
    if (code !== -1) throw new Error(`The server ended by itself (${code}):\n${past.at(-1)}`);
    kills += 1;
  }

  return {
    url: `http://127.0.0.1:${env["PORT"] ?? ""}`,
    /** Each start, from the process's start to the first 200 of /ready. */
    starts,
    get kills() {
      return kills;
    },
    /** How often it has been stopped in any way; incremented before the signal is sent. */
    get ends() {
      return ends;
    },
    /** Resolves while the door is open, or once it opens again: clients wait here instead of calling in vain. */
    door: () => door.promise,
    /** Starts it and waits until it is ready. The door stays shut. */
    async start() {
      const startedAt = performance.now();
      const { child, ready } = begin();
      await ready();
      const tookMs = performance.now() - startedAt;
      starts.push({ tookMs, ownMs: tookMs - (await starvedMs(child.pid ?? 0)) });
    },
    /** Starts it and kills it once `moment` resolves, ready or not. */
    async startAndKill(moment: () => Promise<unknown>) {
      begin();
      await moment();
      await die();
    },
    openDoor() {
      isOpen = true;
      door.resolve();
    },
    /** Shuts the door and kills it immediately. */
    kill: die,
    /** Stops it with SIGTERM; resolves with its exit code. */
    stop: () => end("SIGTERM"),
    /** Runs a command of server/cli as an operator does. */
    command: (name: "doctor" | "reconcile") => runCommand(name, env),
    /** Counts the errors that all its lives have logged, by message. */
    errors() {
      const counts: Record<string, number> = {};
      for (const line of [...past, life?.output() ?? ""].join("\n").split("\n")) {
        const message = errorIn(line);
        if (message !== null) counts[message] = (counts[message] ?? 0) + 1;
      }
      return counts;
    },
    /** Kills it, whatever state the test has left it in. */
    async close() {
      await end("SIGKILL");
    },
  };
}

/** How long the main thread of `pid` has waited for a processor so far (Linux, proc(5)); 0 if that is not recorded. */
async function starvedMs(pid: number): Promise<number> {
  const counts = await readFile(`/proc/${pid}/schedstat`, "utf8").catch(() => "");
  return Number(counts.split(" ")[1] ?? 0) / 1e6;
}

const ERROR_LEVEL = 50;

/** Returns the message if a line logs an error, or is not JSON at all. A kill may truncate the last line. */
function errorIn(line: string): string | null {
  if (line.trim() === "") return null;
  try {
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    return level >= ERROR_LEVEL ? msg : null;
  } catch {
    return line.startsWith("{") ? null : line;
  }
}
