// Owns the processes a benchmark measures: started with an environment of their own, asked by message, ended with the run.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A process that answers messages one at a time. */
export interface Child {
  /** Sends `question` (null: just listens) and answers the next message. Rejects when the process ends instead. */
  ask<Answer>(question: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts a compiled file of tests/bench. What it prints to stdout is dropped, as a log collector's cost is not ours. */
export function startChild(
  file: string,
  env: Readonly<Record<string, string>> = {},
  nodeArguments: readonly string[] = [],
): Child {
  const child: ChildProcess = fork(file, [], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    execArgv: [...nodeArguments],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const ended = once(child, "exit");
  return {
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
      // Each of them ends by itself when its parent lets go.
      child.disconnect();
      await ended;
    },
  };
}
