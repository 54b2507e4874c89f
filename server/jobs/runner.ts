// Runs jobs on a clock: each on one instance at a time, elected by a lease in the database.
import { randomUUID } from "node:crypto";
import { databaseClock } from "../database/clock.ts";
import type { Database } from "../database/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { withFallback, withTimeout } from "../lib/timeout.ts";
import { createJobLeaseStore, type JobLeaseStore } from "./job-lease.store.ts";

/** Work that is repeated on a clock. */
export interface Job {
  /** At most 60 characters; names the lease. */
  readonly name: string;
  readonly everySeconds: number;
  /** A run that takes longer is aborted, and its lease runs out. */
  readonly maxSeconds: number;
  /** First look after the start of an instance; defaults to `everySeconds`. */
  readonly firstAfterSeconds?: number;
  /** Must be safe to repeat and to run beside itself: a lease can be lost. */
  run(signal: AbortSignal): Promise<JobResult>;
}

/** What a run says of itself: a few figures for the log, of which these go into the metrics, too. */
export interface JobResult {
  /** Rows it dealt with. */
  readonly rows?: number;
  /** How long the oldest row it did not come to has been due; 0 when it came to all. */
  readonly lagSeconds?: number;
  readonly [figure: string]: unknown;
}

/** Thrown by a job that failed and has figures to tell; of any other error its words are kept. */
export class JobFailure extends Error {
  readonly result: JobResult;

  constructor(message: string, result: JobResult) {
    super(message);
    this.result = result;
  }
}

/** One run, for its log line and the metrics. */
export interface JobRun {
  readonly job: string;
  readonly ok: boolean;
  readonly durationMs: number;
  /** Rows it dealt with; null where it does not say. */
  readonly rows: number | null;
  /** How much later than due it began. */
  readonly lateMs: number;
}

/** What is known of a job's runs, on whichever instance. */
export interface JobStanding {
  readonly job: string;
  /** Seconds since the start of its last run that went well, or where none did of its first; null when it was never run. */
  readonly ageSeconds: number | null;
  /** Of its last run: see JobResult. */
  readonly lagSeconds: number;
}

/** How the last run of a job ended. */
export interface JobOutcome {
  readonly ok: boolean;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** When it last went well, this run or one before; null when it never did. ISO 8601, UTC. */
  readonly okAt?: string | null;
  /** When it was run for the first time, of one that never went well. ISO 8601, UTC. */
  readonly firstAt?: string;
  readonly durationMs: number;
  /** Figures; of one that failed without any, the error's words. */
  readonly result: JobResult | string;
}

/** The jobs of one instance. */
export interface JobRunner {
  start(): void;
  /** Runs a job now if no other instance is at it; null when it is not ours to run. For commands and tests. */
  runNow(name: string): Promise<JobOutcome | null>;
  /** How the last run of a job ended, on whichever instance; null when there was none. */
  lastOutcome(name: string): Promise<JobOutcome | null>;
  /** How each job stands. */
  standings(): Promise<readonly JobStanding[]>;
  /** Starts nothing more, tells running jobs to stop and waits for them, `waitMs` at most. Safe to call again: no longer wait. */
  close(waitMs?: number): Promise<void>;
}

/** How long a lease holds without being renewed: after a crash another instance waits this long. */
const LEASE_MS = 30_000;
const RENEWALS_PER_LEASE = 3;
/** Two instances look at slightly different times, so that they do not ask at once for ever. */
const JITTER = 0.1;
/** A run counts as due a little early, or clocks that differ by a moment would skip every other turn. */
const DUE_AFTER = 0.9;
const MAX_OUTCOME_LENGTH = 4_000;

/** Dependencies of the runner. */
export interface JobRunnerDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly jobs: readonly Job[];
  /** Milliseconds since 1970; defaults to the database's clock, which all instances share. */
  readonly now?: () => number | Promise<number>;
  /** How long a lease holds without being renewed; defaults to 30 s. */
  readonly leaseMs?: number;
  /** Called for each run on this instance, for the metrics. */
  readonly onRun?: (run: JobRun) => void;
}

interface State {
  readonly leases: JobLeaseStore;
  readonly logger: Logger;
  readonly jobs: readonly Job[];
  readonly now: () => number | Promise<number>;
  readonly leaseMs: number;
  readonly onRun: (run: JobRun) => void;
  readonly stopping: AbortController;
  readonly timers: Set<NodeJS.Timeout>;
  readonly running: Set<Promise<unknown>>;
}

/** Makes the runner; nothing happens before `start`. */
export function createJobRunner(deps: JobRunnerDeps): JobRunner {
  const state: State = {
    leases: createJobLeaseStore(deps.database.models, randomUUID()),
    logger: deps.logger,
    jobs: deps.jobs,
    now: deps.now ?? databaseClock(deps.database),
    leaseMs: deps.leaseMs ?? LEASE_MS,
    onRun: deps.onRun ?? (() => undefined),
    stopping: new AbortController(),
    timers: new Set(),
    running: new Set(),
  };
  let closing: Promise<void> | undefined;
  return {
    start() {
      for (const job of state.jobs) schedule(state, job, job.firstAfterSeconds ?? job.everySeconds);
    },
    runNow: (name) => runNow(state, name),
    async lastOutcome(name) {
      const outcome = await state.leases.lastOutcome(name);
      return outcome === null ? null : (JSON.parse(outcome) as JobOutcome);
    },
    standings: () => standings(state),
    close: (waitMs = 3_000) => (closing ??= close(state, waitMs)),
  };
}

function schedule(state: State, job: Job, afterSeconds: number): void {
  const { logger, stopping, timers } = state;
  if (stopping.signal.aborted) return;
  const timer = setTimeout(
    () => {
      timers.delete(timer);
      void track(state, runOrPutOff(state, job))
        .catch((error: unknown) => {
          // The database may be away; the next turn comes anyway.
          logger.warn({ err: error, job: job.name }, "job not run");
          return job.everySeconds;
        })
        .then((seconds) => schedule(state, job, seconds));
    },
    afterSeconds * 1000 * (1 + Math.random() * JITTER),
  );
  timer.unref();
  timers.add(timer);
}

/**
 * Runs the job where it is ours to run. Returns after how many seconds to look again: where it was not, when it becomes due, or
 * when whoever is at it has had its time. Looked at a whole interval later, it would be nearly two old by then.
 */
async function runOrPutOff(state: State, job: Job): Promise<number> {
  const { leases, now } = state;
  const { name, everySeconds, maxSeconds } = job;
  if ((await runJob(state, job, false)) !== null) return everySeconds;
  const outcome = await leases.lastOutcome(name);
  const ranAtMs = outcome === null ? 0 : Date.parse((JSON.parse(outcome) as JobOutcome).at);
  const dueInSeconds = everySeconds - ((await now()) - ranAtMs) / 1000;
  const jitterSeconds = Math.random() * JITTER * everySeconds;
  return Math.min(everySeconds, dueInSeconds > 0 ? dueInSeconds + jitterSeconds : maxSeconds);
}

async function runNow(state: State, name: string): Promise<JobOutcome | null> {
  const job = state.jobs.find((candidate) => candidate.name === name);
  if (!job) throw new Error(`There is no job named ${name}.`);
  return track(state, runJob(state, job, true));
}

function track<T>({ running }: State, work: Promise<T>): Promise<T> {
  running.add(work);
  const unregister = () => running.delete(work);
  work.then(unregister, unregister);
  return work;
}

/**
 * Takes the lease, runs, notes the outcome. Null when another instance is at it, or (not `forced`) it is not due. A run
 * that ends while the server stops does not count: whoever looks next finds the job due as before.
 */
async function runJob(state: State, job: Job, forced: boolean): Promise<JobOutcome | null> {
  const { leases, logger, now, leaseMs } = state;
  const startedAtMs = await now();
  const dueBefore = forced ? null : new Date(startedAtMs - job.everySeconds * 1000 * DUE_AFTER);
  const lease = { at: new Date(startedAtMs), expiresAt: new Date(startedAtMs + leaseMs) };
  if (!(await leases.acquire(job.name, lease, dueBefore))) return null;
  const before = await leases.lastOutcome(job.name);
  const outcome = await runUnderLease(state, job, startedAtMs);
  if (state.stopping.signal.aborted) {
    const { durationMs, result } = outcome;
    logger.info({ job: job.name, durationMs, result }, "job stopped with the server");
    await leases.release(job.name);
    return outcome;
  }
  const previous = before === null ? null : (JSON.parse(before) as JobOutcome);
  const okAt = outcome.ok ? outcome.at : previous === null ? null : okAtOf(previous);
  report(state, job, { outcome, previous: forced ? null : previous });
  const since = okAt === null ? { firstAt: previous?.firstAt ?? previous?.at ?? outcome.at } : {};
  const stored = toStoredOutcome({ ...outcome, okAt, ...since });
  await leases.finish(job.name, new Date(outcome.at), stored);
  return outcome;
}

function okAtOf({ ok, at, okAt }: JobOutcome): string | null {
  return ok ? at : (okAt ?? null);
}

/** The one line of a run, and its metrics. */
function report(
  { logger, onRun }: State,
  job: Job,
  { outcome, previous }: { outcome: JobOutcome; previous: JobOutcome | null },
): void {
  const { ok, durationMs, result } = outcome;
  const dueAtMs = previous === null ? null : Date.parse(previous.at) + job.everySeconds * 1000;
  const run: JobRun = {
    job: job.name,
    ok,
    durationMs,
    rows: figuresOf(result).rows ?? null,
    lateMs: dueAtMs === null ? 0 : Math.max(0, Date.parse(outcome.at) - dueAtMs),
  };
  onRun(run);
  const { ok: _, job: name, ...figures } = run;
  const line = { job: name, outcome: ok ? "ok" : "failed", ...figures, result };
  if (ok) logger.info(line, "job run");
  else logger.error(line, "job run");
}

function figuresOf(result: JobOutcome["result"]): JobResult {
  return typeof result === "string" ? {} : result;
}

async function standings({ leases, jobs, now }: State): Promise<readonly JobStanding[]> {
  const [outcomes, nowMs] = await Promise.all([leases.outcomes(), now()]);
  const stored = new Map(outcomes.map(({ name, lastOutcome }) => [name, lastOutcome]));
  return jobs.map(({ name }) => {
    const text = stored.get(name) ?? null;
    if (text === null) return { job: name, ageSeconds: null, lagSeconds: 0 };
    const outcome = JSON.parse(text) as JobOutcome;
    const since = okAtOf(outcome) ?? outcome.firstAt ?? outcome.at;
    const ageSeconds = Math.max(0, (nowMs - Date.parse(since)) / 1000);
    return { job: name, ageSeconds, lagSeconds: figuresOf(outcome.result).lagSeconds ?? 0 };
  });
}

/** Runs the job, its lease being renewed; aborts it when its time is over, the lease is lost or the server stops. */
async function runUnderLease(state: State, job: Job, startedAtMs: number): Promise<JobOutcome> {
  const { logger, stopping } = state;
  const startedMs = performance.now();
  const abort = new AbortController();
  const stop = () => abort.abort();
  // The stop may have come while the lease was being taken.
  if (stopping.signal.aborted) stop();
  stopping.signal.addEventListener("abort", stop, { once: true });
  const renewal = setInterval(
    () => void renew(state, job, stop),
    state.leaseMs / RENEWALS_PER_LEASE,
  );
  const limit = setTimeout(stop, job.maxSeconds * 1000);
  const finished = (ok: boolean, result: JobOutcome["result"]): JobOutcome => ({
    ok,
    at: new Date(startedAtMs).toISOString(),
    durationMs: Math.round(performance.now() - startedMs),
    result,
  });
  try {
    // One that does not heed it is given up: its lease is free again, and the job is run anew.
    const result = await withTimeout(
      job.run(abort.signal),
      job.maxSeconds * 1000 + state.leaseMs,
      () => new Error(`It did not end within ${job.maxSeconds} s, nor when told to.`),
    );
    return finished(true, result);
  } catch (error) {
    // Told to stop, most jobs end by an error: no fault of theirs.
    if (!stopping.signal.aborted) logger.error({ err: error, job: job.name }, "job failed");
    if (error instanceof JobFailure) return finished(false, error.result);
    return finished(false, error instanceof Error ? error.message.slice(0, 500) : "failed");
  } finally {
    clearTimeout(limit);
    clearInterval(renewal);
    stopping.signal.removeEventListener("abort", stop);
  }
}

async function renew(
  { leases, logger, now, leaseMs }: State,
  job: Job,
  stop: () => void,
): Promise<void> {
  try {
    if (!(await leases.renew(job.name, new Date((await now()) + leaseMs)))) stop();
  } catch (error) {
    logger.warn({ err: error, job: job.name }, "lease not renewed");
  }
}

async function close({ stopping, timers, running }: State, waitMs: number): Promise<void> {
  stopping.abort();
  for (const timer of timers) clearTimeout(timer);
  timers.clear();
  await withFallback<unknown>(Promise.allSettled(running), waitMs, undefined);
}

function toStoredOutcome(outcome: JobOutcome): string {
  const text = JSON.stringify(outcome);
  return text.length <= MAX_OUTCOME_LENGTH
    ? text
    : JSON.stringify({ ...outcome, result: "too long to keep; see the log" });
}
