// Model runs: started once per press, followed across lost connections and reloads, stopped, ended. A run continues
// while other pages are shown. One tab follows it (a Web Lock decides which); the others see what that tab stores.
import type { AppErrorData, AppRouter, ErrorCode, RunEvent, RunOutcome } from "@skywork/shared";
import type { TRPCClient } from "@trpc/client";
import type { inferRouterInputs } from "@trpc/server";
import { appError, isUncertain } from "../words.ts";

/** The input of `ai.start`. */
export type StartInput = inferRouterInputs<AppRouter>["ai"]["start"];

/** The state of a run. Stored in the browser with its output, so that a reload resumes from here. */
export interface RunState {
  /** The idempotency key, created when the user pressed the button. */
  readonly key: string;
  readonly runId: string | null;
  /** The id of the last event whose output is stored. */
  readonly lastEventId: string | null;
  /** `unsure`: the start got no response; its key makes a retry safe. `refused`: the run never began. */
  readonly phase: "starting" | "running" | "ended" | "unsure" | "refused";
  readonly outcome: RunOutcome | null;
  readonly charged: number | null;
  readonly balance: number | null;
  readonly code: ErrorCode | null;
  readonly refusal: AppErrorData | null;
  /** Whether it ended while nothing followed it, and its output is no longer available. */
  readonly isOutputExpired: boolean;
}

/** A run that is about to be started under `key`. */
export function newRun(key: string): RunState {
  return {
    key,
    runId: null,
    lastEventId: null,
    phase: "starting",
    outcome: null,
    charged: null,
    balance: null,
    code: null,
    refusal: null,
    isOutputExpired: false,
  };
}

/** Whether a run is in progress, as far as this browser knows. */
export function isInProgress(run: RunState | null | undefined): boolean {
  return run?.phase === "starting" || run?.phase === "running";
}

/** A run, and where its output is stored. */
export interface RunTarget {
  readonly input: StartInput;
  /** The run's state; null when the conversation or deck it belongs to was removed. */
  state(): RunState | null;
  update(change: Partial<RunState>): void;
  /** Stores one piece of output together with its event id, so that neither exists without the other. */
  take(event: Exclude<RunEvent, { type: "end" }>, eventId: string): void;
}

/** The state of a run's stream in this tab. */
export type Connection = "none" | "open" | "lost";

/** Drives the runs of one signed-in user. */
export interface Runner {
  /** Starts this target's run, or resumes following it. Idempotent. */
  drive(target: RunTarget): void;
  /** Asks the server to stop the run. Resolves after its response; rejects when it cannot be reached. */
  stop(target: RunTarget): Promise<void>;
  connection(key: string): Connection;
  subscribe(listener: () => void): () => void;
  /** Closes every stream. Runs without a reader end automatically after a while. */
  close(): void;
}

interface Deps {
  readonly api: TRPCClient<AppRouter>;
  /** Called with every error, so that an ended session is noticed. */
  readonly onError: (error: unknown) => void;
  /** Called when a run starts or ends, because credits were held or moved. */
  readonly onCreditsMoved: () => void;
}

interface Active {
  readonly abort: AbortController;
  connection: Connection;
}

const START_ATTEMPTS = 3;
const FOLLOW_ATTEMPTS = 20;
/** How long to wait for the stream's last events after the server has confirmed a stop. */
const LAST_WORDS_MS = 2_000;

export function createRunner(deps: Deps): Runner {
  const active = new Map<string, Active>();
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };

  async function work(target: RunTarget, own: Active): Promise<void> {
    const runId = await begin(deps, target, own.abort.signal);
    if (runId === null) return;
    await followToEnd(deps, target, runId, {
      signal: own.abort.signal,
      onConnection(connection) {
        own.connection = connection;
        tell();
      },
    });
  }

  return {
    drive(target) {
      const { idempotencyKey: key } = target.input;
      if (active.has(key)) return;
      const own: Active = { abort: new AbortController(), connection: "none" };
      active.set(key, own);
      tell();
      void inOneTab(key, own.abort.signal, () => work(target, own)).finally(() => {
        active.delete(key);
        tell();
      });
    },
    async stop(target) {
      const own = active.get(target.input.idempotencyKey);
      const isBegun = () =>
        (target.state()?.runId ?? null) !== null || !isInProgress(target.state());
      // The response to its start may still be in flight.
      if (own !== undefined) await pause(Number.POSITIVE_INFINITY, own.abort.signal, isBegun);
      const runId = target.state()?.runId ?? null;
      if (runId !== null) await askToStop(deps, target, runId);
    },
    connection: (key) => active.get(key)?.connection ?? "none",
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      for (const { abort } of active.values()) abort.abort();
    },
  };
}

/** Runs `work` in one tab at a time. The next tab in line resumes from what the first has stored. */
async function inOneTab(key: string, signal: AbortSignal, work: () => Promise<void>) {
  // Web Locks do not exist on plain http from another machine. There, each tab follows the run itself.
  if (!("locks" in navigator)) return work();
  await navigator.locks.request(`skywork-run-${key}`, { signal }, work).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Starts the run if needed, retrying with the same key when no response comes. Returns null when there is no run. */
async function begin(deps: Deps, target: RunTarget, signal: AbortSignal): Promise<string | null> {
  for (let attempt = 1; ; attempt += 1) {
    const state = target.state();
    if (signal.aborted || state === null || !isInProgress(state)) return null;
    if (state.runId !== null) return state.runId;
    try {
      const { runId } = await deps.api.ai.start.mutate(target.input, { signal });
      target.update({ runId, phase: "running" });
      deps.onCreditsMoved();
      return runId;
    } catch (error) {
      if (signal.aborted) return null;
      deps.onError(error);
      if (isUncertain(error) && attempt < START_ATTEMPTS) {
        await pause(500 * 2 ** attempt, signal);
        continue;
      }
      const refusal = appError(error);
      if (isUncertain(error)) target.update({ phase: "unsure", refusal });
      else target.update({ phase: "refused", refusal, charged: 0 });
      return null;
    }
  }
}

interface Following {
  readonly signal: AbortSignal;
  readonly onConnection: (connection: Connection) => void;
}

/** Follows the stream until its end is stored. The client reconnects automatically; this retries when it gives up. */
async function followToEnd(deps: Deps, target: RunTarget, runId: string, following: Following) {
  for (let attempt = 1; attempt <= FOLLOW_ATTEMPTS; attempt += 1) {
    const state = target.state();
    if (following.signal.aborted || state === null || state.phase === "ended") break;
    const error = await follow(deps, target, runId, following);
    if (following.signal.aborted || target.state()?.phase === "ended") break;
    if (error === MOVED) continue;
    if (error !== null) deps.onError(error);
    following.onConnection("lost");
    if (await endFromRecord(deps, target, runId)) break;
    await pause(Math.min(500 * 2 ** attempt, 15_000), following.signal);
  }
  deps.onCreditsMoved();
}

/** The stored position differs from this tab's stream, because the tab that followed before has stored more output. */
const MOVED = Symbol("moved");

/** Makes one subscription. Resolves with its error, with MOVED, or with null when it closed or the run ended. */
function follow(deps: Deps, target: RunTarget, runId: string, { signal, onConnection }: Following) {
  let placeId = target.state()?.lastEventId ?? null;
  const lastEventId = placeId ?? undefined;
  return new Promise<unknown>((resolve) => {
    const stream = deps.api.ai.stream.subscribe(
      { runId, ...(lastEventId === undefined ? {} : { lastEventId }) },
      {
        signal,
        onData({ id, data }) {
          const state = target.state();
          if (state === null) finish(null);
          else if (state.lastEventId !== placeId) finish(MOVED);
          else if (data.type !== "end") {
            placeId = id;
            target.take(data, id);
          } else {
            const { outcome, charged, balance, code = null } = data;
            target.update({ phase: "ended", lastEventId: id, outcome, charged, balance, code });
            finish(null);
          }
        },
        onConnectionStateChange: ({ state, error }) =>
          onConnection(state === "connecting" && error !== null ? "lost" : "open"),
        onError: finish,
        onComplete: () => finish(null),
      },
    );
    function finish(error: unknown): void {
      stream?.unsubscribe();
      resolve(error);
    }
    signal.addEventListener("abort", () => finish(null), { once: true });
  });
}

/** Checks the run's record when the stream is unavailable. Returns whether the run has ended, and stores how. */
async function endFromRecord(deps: Deps, target: RunTarget, runId: string): Promise<boolean> {
  try {
    const { state, charged, code } = await deps.api.ai.run.query({ runId });
    if (state === "running") return false;
    target.update({ phase: "ended", outcome: state, charged, code, isOutputExpired: true });
    return true;
  } catch (error) {
    deps.onError(error);
    if (appError(error)?.code !== "NOT_FOUND") return false;
    target.update({ phase: "ended", outcome: "failed", charged: null, isOutputExpired: true });
    return true;
  }
}

async function askToStop(deps: Deps, target: RunTarget, runId: string): Promise<void> {
  const { outcome, charged, balance } = await deps.api.ai.stop.mutate({ runId });
  await pause(LAST_WORDS_MS, null, () => target.state()?.phase === "ended");
  if (target.state()?.phase !== "running") return;
  target.update({ phase: "ended", outcome, charged, balance });
  deps.onCreditsMoved();
}

/** Waits for `ms`, or until `signal` is aborted or `isDone` returns true. */
async function pause(ms: number, signal: AbortSignal | null, isDone = () => false): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end && signal?.aborted !== true && !isDone())
    await new Promise((resolve) => window.setTimeout(resolve, Math.min(50, ms)));
}
