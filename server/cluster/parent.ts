// The parent of WORKERS=n: starts the workers in order, restarts those that crash, stops all of them together.
// It owns the port and hands each new connection to the next worker; requests never pass through it.
import cluster, { type Worker } from "node:cluster";
import { AggregatorRegistry } from "prom-client";
import type { Logger } from "../lib/logger.ts";
import type { StopPhase, ParentMessage, WorkerMessage, WorkersState } from "./messages.ts";
import { countCrashes, type PauseAfterCrash } from "./restarts.ts";

/** Later than a worker's own limit (stop.ts): a worker still running then is unresponsive. */
const STOP_LIMIT_MS = 9_800;

/** How long this process has to hand on connections that no worker has seen yet. */
const HAND_ON_MS = 150;

/** What the parent needs. */
export interface ParentDeps {
  readonly workers: number;
  /** The workers' variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  /** How long the workers keep accepting connections once they are asked to stop. */
  readonly shutdownDelayMs: number;
  /** Called last. 0 = every worker has stopped gracefully. */
  readonly end: (exitCode: number) => void;
}

/** One of the n places for workers. */
interface Place {
  readonly number: number;
  readonly pauseAfterCrash: PauseAfterCrash;
  worker: Worker | null;
  startedAtMs: number;
  listening: boolean;
  /** It was asked to stop, so its exit is not a crash. */
  leaving: boolean;
}

interface State {
  readonly deps: ParentDeps;
  readonly places: readonly Place[];
  readonly metrics: { clusterMetrics(): Promise<string> };
  readonly arrived: Record<StopPhase, Set<Worker>>;
  started: boolean;
  stopping: boolean;
  exitCode: number;
}

/**
 * Starts the workers: the first one alone, because it migrates the database and finds out whether the port is free; the
 * others once it listens. If the first cannot start, it has reported why, and everything ends with its exit code.
 */
export function superviseWorkers(deps: ParentDeps) {
  const place = (_: unknown, index: number): Place => ({
    number: index + 1,
    pauseAfterCrash: countCrashes(),
    ...{ worker: null, startedAtMs: 0, listening: false, leaving: false },
  });
  const state: State = {
    deps,
    places: Array.from({ length: deps.workers }, place),
    metrics: new AggregatorRegistry(),
    arrived: { quiet: new Set(), closed: new Set() },
    ...{ started: false, stopping: false, exitCode: 0 },
  };
  const [first] = state.places;
  if (first !== undefined) startWorker(state, first);
  return {
    /** Stops all workers together. Safe to call again. */
    stop: (signal: string) => stopAll(state, signal),
  };
}

function startWorker(state: State, place: Place): void {
  const worker = cluster.fork(state.deps.environment);
  Object.assign(place, {
    worker,
    startedAtMs: performance.now(),
    listening: false,
    leaving: false,
  });
  worker.on("listening", () => onListening(state, place));
  worker.on("message", (message: WorkerMessage) => onMessage(state, place, worker, message));
  // Sending to a worker that dies fails; its exit event covers that.
  worker.on("error", () => undefined);
  worker.on("exit", (code, signal) => onExit(state, place, worker, signal ?? code));
}

function onListening(state: State, place: Place): void {
  place.listening = true;
  // The others start once the first has migrated the database.
  for (const other of state.places)
    if (other.worker === null && other.startedAtMs === 0 && !state.stopping)
      startWorker(state, other);
  const { wanted, listening } = workersOf(state);
  if (listening === wanted && !state.started) {
    state.started = true;
    state.deps.logger.info({ workers: wanted }, "all workers are listening");
  }
  announce(state);
}

function workersOf({ places, started }: State): WorkersState {
  const listening = places.filter((place) => place.listening).length;
  return { wanted: places.length, listening, started };
}

function announce(state: State): void {
  const workers = workersOf(state);
  for (const { worker } of state.places)
    if (worker !== null) send(worker, { type: "skywork:workers", workers });
}

function send(worker: Worker, message: ParentMessage): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}

function onMessage(state: State, place: Place, worker: Worker, message: WorkerMessage): void {
  switch (message.type) {
    case "skywork:may-stop":
      requestStop(place);
      return;
    case "skywork:arrived":
      state.arrived[message.at].add(worker);
      advancePhases(state);
      return;
    case "skywork:ask-metrics":
      void state.metrics
        .clusterMetrics()
        .catch(() => null)
        .then((text) => send(worker, { type: "skywork:metrics", id: message.id, text }));
  }
}

/** Asks a worker to stop. One that is not listening yet has nothing to finish and gets SIGTERM. */
function requestStop(place: Place): void {
  if (place.worker === null) return;
  place.leaving = true;
  if (place.listening) send(place.worker, { type: "skywork:stop" });
  else place.worker.process.kill("SIGTERM");
}

/** Releases the workers waiting at a phase once every stopping worker has reached it. */
function advancePhases({ places, arrived }: State): void {
  const leaving = places.flatMap((place) => (place.leaving && place.worker ? [place.worker] : []));
  for (const at of ["quiet", "closed"] as const) {
    if (!leaving.every((worker) => arrived[at].has(worker))) continue;
    const open = () => {
      for (const worker of leaving) send(worker, { type: "skywork:met", at });
    };
    // Connections pass through this process, so it needs time to hand on those waiting here before it tells the workers
    // that there are none left. Both travel on one channel, in order.
    if (at === "quiet") setTimeout(open, HAND_ON_MS);
    else open();
  }
}

function onExit(state: State, place: Place, worker: Worker, reason: number | string): void {
  const { leaving, listening, startedAtMs, number } = place;
  Object.assign(place, { worker: null, listening: false });
  for (const set of Object.values(state.arrived)) set.delete(worker);
  advancePhases(state);
  announce(state);
  if (state.stopping) {
    if (reason !== 0 && listening) state.exitCode ||= 1;
    endWhenAllHaveStopped(state);
    return;
  }
  if (leaving) {
    state.deps.logger.info({ worker: number, reason }, "a worker was stopped and starts again");
    startWorker(state, place);
    return;
  }
  // The worker has already reported why it cannot start.
  const isFirstStart = workersOf(state).listening === 0 && !state.started && !listening;
  if (isFirstStart && state.places.every((other) => other.worker === null))
    return state.deps.end(typeof reason === "number" && reason !== 0 ? reason : 1);
  restart(state, place, { livedMs: performance.now() - startedAtMs, reason });
}

function restart(
  state: State,
  place: Place,
  crash: { readonly livedMs: number; readonly reason: number | string },
): void {
  const { logger } = state.deps;
  const pauseMs = place.pauseAfterCrash(crash.livedMs);
  const line = { worker: place.number, ...crash, pauseMs };
  if (pauseMs === null) {
    logger.fatal(line, "worker keeps crashing: giving up");
    state.exitCode = 1;
    return stopAll(state, "too many crashes");
  }
  logger.error(line, "a worker has crashed and starts again");
  setTimeout(() => {
    if (!state.stopping) startWorker(state, place);
  }, pauseMs);
}

function stopAll(state: State, signal: string): void {
  if (state.stopping) return;
  state.stopping = true;
  const { logger, shutdownDelayMs, end } = state.deps;
  logger.info({ signal }, "stopping all workers");
  for (const place of state.places) requestStop(place);
  setTimeout(() => {
    logger.error("graceful stop timed out; remaining connections are closed");
    for (const { worker } of state.places) worker?.process.kill("SIGKILL");
    end(1);
  }, shutdownDelayMs + STOP_LIMIT_MS).unref();
  endWhenAllHaveStopped(state);
}

function endWhenAllHaveStopped({ places, deps, exitCode }: State): void {
  if (places.every(({ worker }) => worker === null)) deps.end(exitCode);
}
