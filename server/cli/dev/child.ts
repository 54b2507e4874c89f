// One child process of `npm run dev`: started, its output prefixed, restarted on request, always ended by its pid.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How long a child may take to finish its work before it is killed. */
const STOP_MS = 6_000;

/** How a child ended: by its exit code, or by a signal. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ChildOptions {
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Called at every start, so that a changed `.env` takes effect. */
  readonly environment: () => Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
  /** Called when it ends without having been stopped. */
  readonly onEnd: (end: ChildEnd) => void;
}

export interface Child {
  start(): void;
  /** Stops it and starts it again; all calls during a restart cause one more. */
  restart(): Promise<void>;
  /** Stops it: SIGTERM, then SIGKILL. Safe to call twice. */
  stop(): Promise<void>;
  running(): boolean;
}

/** Creates a Node.js process with `args`, not yet started. */
export function createChild(options: ChildOptions): Child {
  let child: ChildProcess | null = null;
  let stopping: Promise<void> | null = null;
  let restarting: Promise<void> | null = null;
  let again = false;

  function start(): void {
    const started = spawn(process.execPath, options.args, {
      cwd: options.cwd,
      env: { ...options.environment() },
      // The child ends when this channel closes (exit-with-parent.mjs).
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    child = started;
    for (const stream of [started.stdout, started.stderr])
      if (stream) createInterface({ input: stream }).on("line", options.onLine);
    started.once("error", (error) => options.onLine(error.message));
    started.once("exit", (code, signal) => {
      const asked = stopping !== null || child !== started;
      if (child === started) child = null;
      if (!asked) options.onEnd({ code, signal });
    });
  }

  function stop(): Promise<void> {
    const ending = child;
    if (ending === null) return stopping ?? Promise.resolve();
    stopping ??= new Promise<void>((resolve) => {
      const kill = setTimeout(() => ending.kill("SIGKILL"), STOP_MS);
      ending.once("exit", () => {
        clearTimeout(kill);
        stopping = null;
        resolve();
      });
      ending.kill("SIGTERM");
    });
    return stopping;
  }

  async function restartOnce(): Promise<void> {
    do {
      again = false;
      await stop();
      start();
    } while (again);
  }

  return {
    start,
    stop,
    running: () => child !== null,
    restart: () => {
      again = restarting !== null;
      restarting ??= restartOnce().finally(() => {
        restarting = null;
      });
      return restarting;
    },
  };
}
