// The metered AI features, as used by the `ai` procedures, the jobs and the server's shutdown.
import { FEATURES } from "../../shared/src/features.ts";
import type { Charging } from "../credit/ports.ts";
import type { RunOutput, PubSub } from "../kv/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { withFallback } from "../lib/timeout.ts";
import { type ActiveRuns, createActiveRuns } from "./active-runs.ts";
import type {
  ModelList,
  RunTimings,
  RunView,
  StartInput,
  StartResult,
  StopResult,
  TrackedRunEvent,
} from "./ai.types.ts";
import type { FeatureModels, ModelPort, RunStore } from "./ports.ts";
import { createOpenStreams } from "./open-streams.ts";
import { findOwnRun, readRun } from "./read-run.ts";
import { startRun } from "./start-run.ts";
import { endAbandonedRuns, STOP_CHANNEL, stopRun } from "./stop-run.ts";

/** Dependencies of the service. */
interface AiDeps extends Charging {
  readonly store: RunStore;
  readonly output: RunOutput;
  readonly pubsub: PubSub;
  readonly model: ModelPort;
  readonly models: FeatureModels;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Defaults to DEFAULT_TIMINGS. */
  readonly timings?: Partial<RunTimings>;
}

/** What the `ai` procedures call, plus one job and the shutdown. */
export interface AiService {
  models(): ModelList;
  /** Throws INSUFFICIENT_CREDITS, RATE_LIMITED, IDEMPOTENCY_CONFLICT, AI_PROVIDER_ERROR, SERVICE_UNAVAILABLE. */
  start(userId: string, input: StartInput): Promise<StartResult>;
  /** Throws NOT_FOUND, VALIDATION_FAILED, RATE_LIMITED beyond 20 streams of the user on this instance. */
  stream(
    userId: string,
    input: { runId: string; lastEventId?: string | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<TrackedRunEvent, void, void>;
  /** Throws NOT_FOUND, SERVICE_UNAVAILABLE. */
  stop(userId: string, runId: string): Promise<StopResult>;
  /** Throws NOT_FOUND. */
  run(userId: string, runId: string): Promise<RunView>;
  /** Job: ends runs whose producer died. Returns how many. */
  endAbandoned(signal: AbortSignal): Promise<number>;
  /** Runs produced by this process now. */
  readonly activeRuns: number;
  /** Ends this process's runs, charged for what they produced. `sinceMs`: shutdown start, by performance.now(). */
  close(sinceMs?: number): Promise<void>;
}

const DEFAULT_TIMINGS: RunTimings = {
  readerGraceMs: 30_000,
  maxRunMs: 600_000,
  modelSilenceMs: 60_000,
  keepOutputMs: 120_000,
  leaseMs: 20_000,
  tickMs: 2_000,
};
/** At a shutdown, runs that are nearly done may still complete, just as requests in flight do. */
const CLOSE_GRACE_MS = 2_000;

/** Makes the service. `close()` it before the ledger, because closing settles the runs under way. */
export function createAiService(options: AiDeps): AiService {
  const active = createActiveRuns();
  const streams = createOpenStreams();
  const starting = new Set<Promise<unknown>>();
  let closing = false;
  const timings = { ...DEFAULT_TIMINGS, ...options.timings };
  const deps = { ...options, timings, active, isClosing: () => closing };
  const stopListening = listenForStops(deps);
  return {
    models: () => listModels(deps.models),
    async start(userId, input) {
      const start = startRun(deps, userId, input);
      starting.add(start);
      try {
        return await start;
      } finally {
        starting.delete(start);
      }
    },
    stream: (userId, { runId, lastEventId }, signal) =>
      streams.hold(userId, readRun(deps, { userId, runId, lastEventId }, signal)),
    stop: (userId, runId) => stopRun(deps, userId, runId),
    run: (userId, runId) => viewRun(deps, userId, runId),
    endAbandoned: (signal) => endAbandonedRuns(deps, signal),
    get activeRuns() {
      return active.size;
    },
    async close(sinceMs = performance.now()) {
      closing = true;
      const graceMs = Math.max(0, sinceMs + CLOSE_GRACE_MS - performance.now());
      await Promise.all([endAll(active, starting, graceMs), stopListening()]);
    },
  };
}

function listModels(models: FeatureModels): ModelList {
  return {
    models: FEATURES.flatMap((feature) => {
      const model = models[feature];
      return model === undefined ? [] : [{ feature, model }];
    }),
  };
}

async function viewRun(deps: AiDeps, userId: string, runId: string): Promise<RunView> {
  const run = await findOwnRun(deps.store, userId, runId);
  return {
    runId: run.id,
    feature: run.feature,
    state: run.state,
    heldCredits: run.heldCredits,
    charged: run.charged,
    createdAt: run.createdAt.toISOString(),
    endedAt: run.endedAt?.toISOString() ?? null,
    code: run.code,
  };
}

/** Listens for stops requested on other instances. Returns how to unsubscribe. */
function listenForStops(deps: AiDeps & { readonly active: ActiveRuns }): () => Promise<void> {
  const joined = deps.pubsub.subscribe(STOP_CHANNEL, (runId) => {
    deps.active.get(runId)?.stop("stopped");
  });
  joined.catch((error: unknown) => {
    // The row holds the request, too, and the producer checks it whenever it renews its lease.
    deps.logger.warn({ err: error }, "cannot subscribe to run stops; they are polled instead");
  });
  return async () => {
    const leave = await joined.catch(() => null);
    await leave?.();
  };
}

/** Ends all runs, and waits for starts under way: what they begin ends as well (start-run.ts). */
async function endAll(
  active: ActiveRuns,
  starting: ReadonlySet<Promise<unknown>>,
  graceMs: number,
): Promise<void> {
  const allDone = whenAllDone(active, starting);
  await withFallback(allDone, graceMs, undefined);
  for (const run of active.all()) run.stop("shutdown");
  await allDone;
}

async function whenAllDone(
  active: ActiveRuns,
  starting: ReadonlySet<Promise<unknown>>,
): Promise<void> {
  while (active.size > 0 || starting.size > 0)
    await Promise.allSettled([...starting, ...active.all().map(({ done }) => done)]);
}
