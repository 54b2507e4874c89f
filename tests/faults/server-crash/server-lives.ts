// One server that dies and lives again: the same port, database and environment; SIGKILL by its pid; a door for its clients.
import { readFile } from "node:fs/promises";
import { deferred } from "../../support/deferred.ts";
import { runCommand, type ServerProcess, spawnServer } from "../../support/process.ts";

/** How long a start took. Milliseconds. */
export interface Start {
  readonly tookMs: number;
  /** Without the time in which it was ready to run and other processes had the processors. */
  readonly ownMs: number;
}

/** A server that is killed and started again, again and again. */
export type ServerLives = ReturnType<typeof createServerLives>;

/** The server with this environment, not started yet, by spawnServer's `program`. `env.PORT` has to be a free port. */
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
    // -1: the signal ended it. Any other code is an end of its own accord, just before.
    if (code !== -1) throw new Error(`The server ended by itself (${code}):\n${past.at(-1)}`);
    kills += 1;
  }

  return {
    url: `http://127.0.0.1:${env["PORT"] ?? ""}`,
    /** Each start of the process until the first 200 of /ready. */
    starts,
    get kills() {
      return kills;
    },
    /** How often it has been told to end, in whatever way: raised before the signal is sent. */
    get ends() {
      return ends;
    },
    /** Resolves while the door is open, else when it opens again: clients wait here instead of knocking. */
    door: () => door.promise,
    /** Starts it and waits until it is ready. The door stays shut. */
    async start() {
      const startedAt = performance.now();
      const { child, ready } = begin();
      await ready();
      const tookMs = performance.now() - startedAt;
      starts.push({ tookMs, ownMs: tookMs - (await starvedMs(child.pid ?? 0)) });
    },
    /** Starts it and kills it once `moment` has come, ready or not. */
    async startAndKill(moment: () => Promise<unknown>) {
      begin();
      await moment();
      await die();
    },
    openDoor() {
      isOpen = true;
      door.resolve();
    },
    /** Shuts the door and kills it as it stands. */
    kill: die,
    /** Ends it by SIGTERM; answers its exit code. */
    stop: () => end("SIGTERM"),
    /** Runs one of server/cli as an operator does. */
    command: (name: "doctor" | "reconcile") => runCommand(name, env),
    /** The errors all its lives have logged: each message with its number. */
    errors() {
      const counts: Record<string, number> = {};
      for (const line of [...past, life?.output() ?? ""].join("\n").split("\n")) {
        const message = errorIn(line);
        if (message !== null) counts[message] = (counts[message] ?? 0) + 1;
      }
      return counts;
    },
    /** Whatever state the test has left it in: nothing of it lives on. */
    async close() {
      await end("SIGKILL");
    },
  };
}

/** How long the main thread of `pid` has waited for a processor so far (Linux, proc(5)); 0 where nobody counts it. */
async function starvedMs(pid: number): Promise<number> {
  const counts = await readFile(`/proc/${pid}/schedstat`, "utf8").catch(() => "");
  return Number(counts.split(" ")[1] ?? 0) / 1e6;
}

const ERROR_LEVEL = 50;

/** The message of a log line that tells of an error; what is no log line is one, too. A kill may cut the last one. */
function errorIn(line: string): string | null {
  if (line.trim() === "") return null;
  try {
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    return level >= ERROR_LEVEL ? msg : null;
  } catch {
    return line.startsWith("{") ? null : line;
  }
}
