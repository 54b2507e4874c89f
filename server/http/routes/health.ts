// /health and /ready: whether this process lives, and whether it should be sent work.
import type { Backend } from "../../infrastructure.ts";
import type { DependencyState } from "../../lib/dependency-state.ts";
import { withFallback } from "../../lib/timeout.ts";
import type { JobOutcome } from "../../jobs/runner.ts";

/** The answer to /ready. */
export interface Readiness {
  success: boolean;
  ready: boolean;
  shuttingDown: boolean;
  dependencies: { database: DependencyState; redis: DependencyState };
  /** Server processes on this port. */
  workers: { wanted: number; listening: number };
  /** Stripe events that are stored but not processed; null when it could not be told. */
  events: { pending: number; failed: number } | null;
  /** The last audit of the ledger; null when there was none yet. */
  doctor: JobOutcome | null;
  timestamp: string;
}

const PROBE_MS = 1_500;

/** Asks at most once per `ttlMs`, and never more than one question at a time: probes must not become load. */
function remembered<T>(ttlMs: number, ask: () => Promise<T>, otherwise: T): () => Promise<T> {
  let at = 0;
  let answer: Promise<T> | undefined;
  return () => {
    if (answer && Date.now() - at < ttlMs) return answer;
    at = Date.now();
    answer = withFallback(
      ask().catch(() => otherwise),
      PROBE_MS,
      otherwise,
    );
    return answer;
  };
}

/** The body of /health; touches nothing. */
export function health() {
  return {
    success: true,
    message: "Skywork backend is alive.",
    timestamp: new Date().toISOString(),
  };
}

/** Makes the function behind /ready. Redis away means slower, not unready. */
export function createReadiness(deps: {
  backend: Pick<Backend, "check">;
  backlog: () => Promise<{ pending: number; failed: number }>;
  lastDoctor: () => Promise<JobOutcome | null>;
  isShuttingDown: () => boolean;
  /** `started`: all of them have listened once. */
  workers: () => { wanted: number; listening: number; started: boolean };
}): () => Promise<Readiness> {
  const silent: DependencyState = { status: "down", detail: "no answer in time" };
  const check = remembered(500, () => deps.backend.check(), { database: silent, redis: silent });
  const backlog = remembered<Readiness["events"]>(5_000, deps.backlog, null);
  const doctor = remembered<JobOutcome | null>(30_000, deps.lastDoctor, null);
  return async () => {
    const dependencies = await check();
    const up = dependencies.database.status !== "down";
    const [events, lastDoctor] = up ? await Promise.all([backlog(), doctor()]) : [null, null];
    const shuttingDown = deps.isShuttingDown();
    const { wanted, listening, started } = deps.workers();
    const ready = up && started && !shuttingDown;
    return {
      success: ready,
      ready,
      shuttingDown,
      dependencies,
      workers: { wanted, listening },
      events,
      doctor: lastDoctor,
      timestamp: new Date().toISOString(),
    };
  };
}
