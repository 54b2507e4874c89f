// Runs on the model: started once per press, followed over lost connections and reloads, stopped, ended. A run goes on
// while other pages are shown; one tab follows it (a Web Lock says which), the others see what that tab keeps.
import type { AppErrorData, AppRouter, ErrorCode, RunEvent, RunOutcome } from "@skywork/shared";
import type { TRPCClient } from "@trpc/client";
import type { inferRouterInputs } from "@trpc/server";
import { appError, isUncertain } from "../words.ts";

/** What `ai.start` takes. */
export type StartInput = inferRouterInputs<AppRouter>["ai"]["start"];

/** Where a run stands. Kept in the browser with what it produced, so that a reload goes on from here. */
export interface RunState {
  /** The idempotency key, made when the person pressed. */
  readonly key: string;
  readonly runId: string | null;
  /** Of the last event whose output is kept. */
  readonly lastEventId: string | null;
  /** `unsure`: no answer to the start; the key makes asking again safe. `refused`: it never began. */
  readonly phase: "starting" | "running" | "ended" | "unsure" | "refused";
  readonly outcome: RunOutcome | null;
  readonly charged: number | null;
  readonly balance: number | null;
  readonly code: ErrorCode | null;
  readonly refusal: AppErrorData | null;
  /** It ended while nobody was here, and its output is not kept any more. */
  readonly isOutputGone: boolean;
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
    isOutputGone: false,
  };
}

/** Whether a run is under way, as far as this browser knows. */
export function isUnderWay(run: RunState | null | undefined): boolean {
  return run?.phase === "starting" || run?.phase === "running";
}

/** A run, and where its output goes. */
export interface RunTarget {
  readonly input: StartInput;
  /** Null when the conversation or deck it belongs to was removed. */
  state(): RunState | null;
  update(change: Partial<RunState>): void;
  /** Keeps one piece of output and its event id together, so that neither is there without the other. */
  take(event: Exclude<RunEvent, { type: "end" }>, eventId: string): void;
}

/** How the stream of a run is doing in this tab. */
export type Connection = "none" | "open" | "lost";

/** Drives the runs of one signed-in person. */
export interface Runner {
  /** Starts the run of this target, or goes on following it. Twice is once. */
  drive(target: RunTarget): void;
  /** Asks the server to stop it; resolves when it has answered. Rejects when it cannot be reached. */
  stop(target: RunTarget): Promise<void>;
  connection(key: string): Connection;
  subscribe(listener: () => void): () => void;
  /** Lets go of every stream; runs nobody follows end by themselves after a while. */
  close(): void;
}

interface Deps {
  readonly api: TRPCClient<AppRouter>;
  /** Called with every refusal, so that an ended sign-in is noticed. */
  readonly onError: (error: unknown) => void;
  /** Called when a run began or ended: credits were held or moved. */
  readonly onCreditsMoved: () => void;
}

interface Active {
  readonly abort: AbortController;
  connection: Connection;
}

const START_ATTEMPTS = 3;
const FOLLOW_ATTEMPTS = 20;
/** After the server has said how a stop came out, the stream's last words may still be on their way. */
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
      const isBegun = () => (target.state()?.runId ?? null) !== null || !isUnderWay(target.state());
      // The answer to its start may still be on its way.
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

/** Runs `work` while no other tab does; the next tab in line finds what the first has kept. */
async function inOneTab(key: string, signal: AbortSignal, work: () => Promise<void>) {
  // Not there on plain http from another machine: then each tab follows for itself.
  if (!("locks" in navigator)) return work();
  await navigator.locks.request(`skywork-run-${key}`, { signal }, work).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Starts the run unless it has been. A lost answer is asked for again with the same key. Returns null when there is none. */
async function begin(deps: Deps, target: RunTarget, signal: AbortSignal): Promise<string | null> {
  for (let attempt = 1; ; attempt += 1) {
    const state = target.state();
    if (signal.aborted || state === null || !isUnderWay(state)) return null;
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

/** Follows the stream until its end is kept. The client reconnects by itself; only what it gives up on comes back here. */
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

/** What is kept is not where this tab's stream is: the tab that followed before has kept more after all. */
const MOVED = Symbol("moved");

/** One subscription. Resolves with its error, MOVED, or null when it closed or the end came. */
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

/** When the stream is not to be had: whether the run has ended meanwhile, told from its record. */
async function endFromRecord(deps: Deps, target: RunTarget, runId: string): Promise<boolean> {
  try {
    const { state, charged, code } = await deps.api.ai.run.query({ runId });
    if (state === "running") return false;
    target.update({ phase: "ended", outcome: state, charged, code, isOutputGone: true });
    return true;
  } catch (error) {
    deps.onError(error);
    if (appError(error)?.code !== "NOT_FOUND") return false;
    target.update({ phase: "ended", outcome: "failed", charged: null, isOutputGone: true });
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

/** Waits, no longer than until `signal` is aborted or `isDone`. */
async function pause(ms: number, signal: AbortSignal | null, isDone = () => false): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end && signal?.aborted !== true && !isDone())
    await new Promise((resolve) => window.setTimeout(resolve, Math.min(50, ms)));
}
