// A worker's side of WORKERS=n: what it hears from its parent, and what it asks of it.
import cluster from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../lib/errors.ts";
import type { StopPhase, ParentMessage, WorkerMessage, WorkersState } from "./messages.ts";

/** Nobody waits longer for the others: a stop is bounded. */
const MEETING_LIMIT_MS = 3_000;
/** prom-client gives its workers five seconds. */
const METRICS_LIMIT_MS = 6_000;

/** What a worker knows of the others. */
export interface WorkerLink {
  /** How the processes behind the port are. */
  workers(): WorkersState;
  /** The metrics of all workers together, as Prometheus text. Throws SERVICE_UNAVAILABLE when one does not answer. */
  metrics(): Promise<string>;
  /** Asks the parent for the stop: a signal to the whole group reaches every process at its own moment. */
  askToStop(): void;
  /** Calls `listener` once, when this worker is to stop. */
  onStop(listener: () => void): void;
  /** Resolves when every worker that stops is at this point, or after a moment. */
  meet(at: StopPhase): Promise<void>;
}

/** The link of this process; null when it is no worker. */
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

/** Tells the parent, if there still is one. */
function say(message: WorkerMessage): void {
  if (process.connected) process.send?.(message, undefined, {}, () => undefined);
}

/** Something that happens once. */
function once(): { readonly happened: Promise<void>; happen(): void } {
  let happen = (): void => undefined;
  const happened = new Promise<void>((resolve) => {
    happen = resolve;
  });
  return { happened, happen: () => happen() };
}
