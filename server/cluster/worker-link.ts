// A worker's side of WORKERS=n: what it receives from its parent, and what it requests.
import cluster from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../lib/errors.ts";
import type { StopPhase, ParentMessage, WorkerMessage, WorkersState } from "./messages.ts";

/** Longest wait for the other workers: a stop is bounded. */
const MEETING_LIMIT_MS = 3_000;
/** Longer than the five seconds that prom-client gives its workers. */
const METRICS_LIMIT_MS = 6_000;

/** What a worker knows about the others. */
export interface WorkerLink {
  /** Returns the state of the processes behind the port. */
  workers(): WorkersState;
  /** Returns all workers' metrics together, as Prometheus text. Throws SERVICE_UNAVAILABLE if one does not respond. */
  metrics(): Promise<string>;
  /** Asks the parent for a stop: a signal to the whole group reaches each process at a different moment. */
  askToStop(): void;
  /** Calls `listener` once, when this worker must stop. */
  onStop(listener: () => void): void;
  /** Resolves when every stopping worker has reached this point, or after a time limit. */
  meet(at: StopPhase): Promise<void>;
}

/** Returns the link of this process; null if it is not a worker. */
export function openWorkerLink(): WorkerLink | null {
  return cluster.isWorker ? createWorkerLink() : null;
}

function createWorkerLink(): WorkerLink {
  let workers: WorkersState = { wanted: 0, listening: 0, started: false };
  const stop = once();
  const met = { quiet: once(), closed: once() };
  const waiting = new Map<number, (text: string | null) => void>();
  let lastId = 0;

  const hear = (message: ParentMessage): void => {
    switch (message.type) {
      case "skywork:stop":
        return stop.happen();
      case "skywork:met":
        return met[message.at].happen();
      case "skywork:workers":
        workers = message.workers;
        return;
      case "skywork:metrics":
        waiting.get(message.id)?.(message.text);
        return;
    }
  };
  process.on("message", hear);

  return {
    workers: () => workers,
    async metrics() {
      lastId += 1;
      const id = lastId;
      const answer = new Promise<string | null>((resolve) => waiting.set(id, resolve));
      say({ type: "skywork:ask-metrics", id });
      const text = await Promise.race([answer, sleep(METRICS_LIMIT_MS, null, { ref: false })]);
      waiting.delete(id);
      if (text === null)
        throw AppError.of("SERVICE_UNAVAILABLE", "A worker does not answer.", {
          retryAfterSeconds: 5,
        });
      return text;
    },
    askToStop: () => say({ type: "skywork:may-stop" }),
    onStop: (listener) => void stop.happened.then(listener),
    async meet(at) {
      say({ type: "skywork:arrived", at });
      await Promise.race([met[at].happened, sleep(MEETING_LIMIT_MS, undefined, { ref: false })]);
    },
  };
}

/** Sends a message to the parent, if there still is one. */
function say(message: WorkerMessage): void {
  if (process.connected) process.send?.(message, undefined, {}, () => undefined);
}

/** Creates an event that happens once. */
function once(): { readonly happened: Promise<void>; happen(): void } {
  let happen = (): void => undefined;
  const happened = new Promise<void>((resolve) => {
    happen = resolve;
  });
  return { happened, happen: () => happen() };
}
