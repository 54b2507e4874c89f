// Whether this instance should be sent work, and what the operator has to do about it.
import type { WorkersState } from "../cluster/messages.ts";
import type { DiskSpace } from "../database/ports.ts";
import type { Backend } from "../infrastructure.ts";
import type { JobOutcome } from "../jobs/runner.ts";
import type { DependencyState } from "../lib/dependency-state.ts";
import type { Logger } from "../lib/logger.ts";
import { memoize } from "../lib/memoize.ts";
import { withFallback } from "../lib/timeout.ts";
import type { EventBacklog } from "../payment/payment.types.ts";
import type { StripePort } from "../payment/stripe/port.ts";
import { inBackground } from "./background.ts";
import { clockSkewSeconds, clockState } from "./clock.ts";
import { diskState } from "./disk.ts";
import type { Dependencies, Readiness } from "./health.types.ts";

/** What the readiness check needs. */
export interface ReadinessDeps {
  readonly backend: Pick<Backend, "check" | "probeWrite" | "diskSpace">;
  /** Null where no key is set. */
  readonly stripe: Pick<StripePort, "checkKey"> | null;
  /** Other parties' servers whose clocks ours is compared with. */
  readonly clocks: readonly URL[];
  readonly backlog: () => Promise<EventBacklog>;
  readonly lastDoctor: () => Promise<JobOutcome | null>;
  readonly isShuttingDown: () => boolean;
  readonly workers: () => WorkersState;
  readonly logger: Logger;
  /** How often external servers are asked; tests do so more often. */
  readonly checkEveryMs?: number;
}

const PROBE_MS = 1_500;
const CHECK_EVERY_MS = 60_000;
const RECHECK_MS = 30_000;
const CHECK_TIMEOUT_MS = 25_000;

/**
 * Returns a function that calls `ask` at most once per `ttlMs`, and resolves to `otherwise` when that fails or takes
 * too long: probes must not become load.
 */
function remembered<T>(ttlMs: number, ask: () => Promise<T>, otherwise: T): () => Promise<T> {
  return memoize(ttlMs, () =>
    withFallback(
      ask().catch(() => otherwise),
      PROBE_MS,
      otherwise,
    ),
  );
}

/**
 * Creates the function behind /ready. The database and the disk are checked on demand, within bounds; Stripe and other
 * parties' clocks in the background. Redis unavailable, a refused Stripe key, a disk filling up: degraded, because most
 * of the work continues. No database, one that cannot be written, a full disk, a clock that is minutes off: not ready.
 */
export function createReadiness(deps: ReadinessDeps): () => Promise<Readiness> {
  const { backend } = deps;
  const check = remembered(500, () => backend.check(), { database: SILENT, redis: SILENT });
  const write = remembered(5_000, () => backend.probeWrite(), SLOW_WRITES);
  const disk = remembered<DiskSpace | null>(5_000, () => backend.diskSpace(), null);
  const others = createExternalProbes(deps);
  const backlog = remembered<Readiness["events"]>(5_000, deps.backlog, null);
  const doctor = remembered<JobOutcome | null>(30_000, deps.lastDoctor, null);
  const note = logChanges(deps.logger);
  const ofDatabase = async () => {
    const { database: reads, redis } = await check();
    if (reads.status === "down") return { database: reads, redis, events: null, lastDoctor: null };
    const [writes, events, lastDoctor] = await Promise.all([write(), backlog(), doctor()]);
    return { database: worseState(reads, writes), redis, events, lastDoctor };
  };
  return async () => {
    // All at once, as far as they can be: each may take the full limit, and whoever probes has one of its own.
    const [{ database, redis, events, lastDoctor }, space] = await Promise.all([
      ofDatabase(),
      disk(),
    ]);
    const dependencies: Dependencies = {
      database,
      redis,
      ...(space === null ? {} : { disk: diskState(space) }),
      ...others(),
    };
    const { wanted, listening, started } = deps.workers();
    const readiness = assemble(dependencies, deps.isShuttingDown(), started);
    note(readiness);
    const workers = { wanted, listening };
    const isStuck = events !== null && events.failed > 0;
    return {
      ...readiness,
      actions: isStuck ? [...readiness.actions, MEND_EVENTS] : readiness.actions,
      workers,
      events,
      doctor: withoutReason(lastDoctor),
      timestamp: new Date().toISOString(),
    };
  };
}

/** Keeps figures, but not an error's text, which may contain a statement or an address: anyone may read /ready. */
function withoutReason(outcome: JobOutcome | null): JobOutcome | null {
  if (typeof outcome?.result !== "string") return outcome;
  return { ...outcome, result: 'It failed: see the log, "job failed".' };
}

const SILENT: DependencyState = {
  status: "down",
  detail: "No answer in time.",
  action: "See whether the server runs and can be reached from here.",
};
const SLOW_WRITES: DependencyState = {
  status: "degraded",
  detail: `A write took longer than ${PROBE_MS} ms.`,
  action: "Look for long transactions, a slow disk or a replica that is waited for.",
};

const MEND_EVENTS =
  "Stripe's events could not be applied: the admin area, Events, says why; then npm run reconcile.";

type Verdict = Omit<Readiness, "workers" | "events" | "doctor" | "timestamp">;

function assemble(dependencies: Dependencies, shuttingDown: boolean, started: boolean): Verdict {
  const all = Object.values(dependencies) as DependencyState[];
  const ready = started && !shuttingDown && all.every(({ status }) => status !== "down");
  const isWhole = all.every(({ status }) => status === "up");
  return {
    success: ready,
    ready,
    state: ready ? (isWhole ? "ready" : "degraded") : "not ready",
    shuttingDown,
    dependencies,
    actions: all.flatMap(({ status, action }) => (status === "up" || !action ? [] : [action])),
  };
}

function worseState(a: DependencyState, b: DependencyState): DependencyState {
  const rank = { up: 0, degraded: 1, down: 2 };
  return rank[b.status] > rank[a.status] ? b : a;
}

/** Whether Stripe accepts our key, and other parties' clocks: checked once a minute, reported immediately. */
function createExternalProbes({ stripe, clocks, checkEveryMs = CHECK_EVERY_MS }: ReadinessDeps) {
  const rule = {
    everyMs: checkEveryMs,
    everyMsWhenFailing: Math.min(checkEveryMs, RECHECK_MS),
    timeoutMs: CHECK_TIMEOUT_MS,
  };
  const isBad = ({ status }: DependencyState) => status !== "up";
  const key =
    stripe === null
      ? null
      : inBackground(async () => keyState(await stripe.checkKey()), isBad, rule);
  const clock = inBackground(async () => clockState(await clockSkewSeconds(clocks)), isBad, rule);
  const unknown: DependencyState = { status: "up", detail: "Not looked at yet." };
  return () => ({
    ...(key === null ? {} : { stripe: key() ?? unknown }),
    clock: clock() ?? unknown,
  });
}

function keyState(answer: "accepted" | "refused"): DependencyState {
  if (answer === "accepted") return { status: "up" };
  return {
    status: "degraded",
    detail: "Stripe refuses this server's key: nobody can buy, and no payment is seen.",
    action:
      "Set STRIPE_SECRET_KEY to a valid key (https://dashboard.stripe.com/apikeys); npm run stripe:sync names a permission it lacks.",
  };
}

/** Logs one line when the state changes, so that the log shows when it began and ended. */
function logChanges(logger: Logger): (verdict: Verdict) => void {
  let before = "ready";
  return ({ state, dependencies, shuttingDown }) => {
    if (state === before || shuttingDown) return;
    before = state;
    const bad = Object.entries(dependencies).filter(([, { status }]) => status !== "up");
    const line = { state, dependencies: Object.fromEntries(bad) };
    if (state === "ready") logger.info(line, "readiness changed");
    else logger.warn(line, "readiness changed");
  };
}
