// Runs jobs on a schedule, each on one instance at a time, chosen by a lease in the database.
import { randomUUID } from "node:crypto";
import { databaseClock } from "../database/clock.ts";
import type { Database } from "../database/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { withFallback, withTimeout } from "../lib/timeout.ts";
import { createJobLeaseStore, type JobLeaseStore } from "./job-lease.store.ts";

/** Work that is repeated on a schedule. */
export interface Job {
  /** At most 60 characters; names the lease. */
  readonly name: string;
  readonly everySeconds: number;
  /** A run that takes longer is aborted. */
  readonly maxSeconds: number;
  /** How long after an instance starts it first checks whether the job is due. Defaults to `everySeconds`. */
  readonly firstAfterSeconds?: number;
  /** Must be safe to repeat and to run concurrently with itself, because a lease can be lost. */
  run(signal: AbortSignal): Promise<JobResult>;
}

/** What a run reports: a few figures for the log. `rows` and `lagSeconds` also become metrics. */
export interface JobResult {
  /** Rows processed. */
  readonly rows?: number;
  /** How long the oldest row it did not get to has been due; 0 when none is left. */
  readonly lagSeconds?: number;
  readonly [figure: string]: unknown;
}

/** Thrown by a job that failed but has figures to report. Of any other error the message is stored instead. */
export class JobFailure extends Error {
  readonly result: JobResult;

  constructor(message: string, result: JobResult) {
    super(message);
    this.result = result;
  }
}

/** One run, as logged and measured. */
export interface JobRun {
  readonly job: string;
  readonly ok: boolean;
  readonly durationMs: number;
  /** Rows processed; null if the job does not report them. */
  readonly rows: number | null;
  /** How much later than due it started. */
  readonly lateMs: number;
}

/** The state of a job's runs, across all instances. */
export interface JobStatus {
  readonly job: string;
  /** Seconds since its last successful run started, or its first run if none succeeded; null when it never ran. */
  readonly ageSeconds: number | null;
  /** The lag reported by its last run; see JobResult. */
  readonly lagSeconds: number;
}

/** How the last run of a job ended. */
export interface JobOutcome {
  readonly ok: boolean;
  /** When it started. ISO 8601, UTC. */
  readonly at: string;
  /** When the last successful run, this or an earlier one, started; null when there was none. ISO 8601, UTC. */
  readonly okAt?: string | null;
  /** When the first run started, for a job that has never succeeded. ISO 8601, UTC. */
  readonly firstAt?: string;
  readonly durationMs: number;
  /** Figures, or the error message if the run failed without any. */
  readonly result: JobResult | string;
}

/** The jobs of one instance. */
export interface JobRunner {
  start(): void;
  /** Runs a job now. Resolves to null when another instance is running it. For commands and tests. */
  runNow(name: string): Promise<JobOutcome | null>;
  /** Returns how a job's last run ended, on any instance; null when there was none. */
  lastOutcome(name: string): Promise<JobOutcome | null>;
  /** Returns the state of each job. */
  jobStatuses(): Promise<readonly JobStatus[]>;
  /** Starts no more jobs, aborts running ones and waits for them, at most `waitMs`. Repeated calls share that wait. */
  close(waitMs?: number): Promise<void>;
}

/** How long a lease lasts without renewal, and so how long the other instances wait after a crash. */
const LEASE_MS = 30_000;
const RENEWALS_PER_LEASE = 3;
/** Random spread of the schedule, so that two instances do not keep asking for the lease simultaneously. */
const JITTER = 0.1;
/** A job counts as due slightly early. Otherwise small differences between clocks would skip every other turn. */
const DUE_AFTER = 0.9;
const MAX_OUTCOME_LENGTH = 4_000;

/** Dependencies of the runner. */
export interface JobRunnerDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly jobs: readonly Job[];
  /** Milliseconds since 1970. Defaults to the database's clock, which all instances share. */
  readonly now?: () => number | Promise<number>;
  /** How long a lease lasts without renewal. Defaults to 30 s. */
  readonly leaseMs?: number;
  /** Called after each run on this instance, for the metrics. */
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

/** Creates the runner. It does nothing until `start`. */
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
    jobStatuses: () => jobStatuses(state),
    close: (waitMs = 3_000) => (closing ??= close(state, waitMs)),
  };
}

function schedule(state: State, job: Job, afterSeconds: number): void {
  const { logger, stopping, timers } = state;
  if (stopping.signal.aborted) return;
  const timer = setTimeout(
    () => {
      timers.delete(timer);
      void track(state, runOrReschedule(state, job))
        .catch((error: unknown) => {
          // The database may be unavailable; try again at the next turn.
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
 * Runs the job if it is due and no other instance is running it. Returns after how many seconds to check again. If it
 * did not run, that is when it becomes due, or when the instance running it must be done: waiting a whole interval
 * could leave the last run nearly two intervals old.
 */
async function runOrReschedule(state: State, job: Job): Promise<number> {
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
 * Takes the lease, runs the job and stores the outcome. Returns null when another instance is running it or, unless
 * `forced`, when it is not due. A run that ends while the server is stopping does not count: the job stays due.
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

/** Writes the run's one log line, and its metrics. */
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

async function jobStatuses({ leases, jobs, now }: State): Promise<readonly JobStatus[]> {
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

/** Runs the job while renewing its lease. Aborts it when its time is up, the lease is lost or the server stops. */
async function runUnderLease(state: State, job: Job, startedAtMs: number): Promise<JobOutcome> {
  const { logger, stopping } = state;
  const startedMs = performance.now();
  const abort = new AbortController();
  const stop = () => abort.abort();
  // The server may have started to stop while the lease was being taken.
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
    // A run that ignores the abort is abandoned: its lease is freed, and the job will run again.
    const result = await withTimeout(
      job.run(abort.signal),
      job.maxSeconds * 1000 + state.leaseMs,
      () => new Error(`It did not end within ${job.maxSeconds} s, nor when told to.`),
    );
    return finished(true, result);
  } catch (error) {
    // Most jobs end with an error when the server stops. That is not a failure.
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
