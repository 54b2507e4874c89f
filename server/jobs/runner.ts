// Owns what runs on a clock: each job on one instance at a time, elected by a lease in the database.
import { randomUUID } from "node:crypto";
import type { Database } from "../database/database.ts";
import type { Logger } from "../lib/logger.ts";

/** Something done again and again. */
export interface Job {
  /** At most 60 characters; names the lease. */
  readonly name: string;
  readonly everySeconds: number;
  /** A run that takes longer is told to stop and loses its lease to whoever comes. */
  readonly maxSeconds: number;
  /** First look after the start of an instance; `everySeconds` when left out. */
  readonly firstAfterSeconds?: number;
  /** Must be safe to repeat and to run beside itself: a lease can be lost. Answers a few words or figures for the log. */
  run(signal: AbortSignal): Promise<unknown>;
}

/** How the last run of a job ended. */
export interface JobOutcome {
  readonly ok: boolean;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly durationMs: number;
  readonly result: unknown;
}

/** The jobs of one instance. */
export interface JobRunner {
  start(): void;
  /** Runs a job now if no other instance is at it; null when it is not ours to run. For commands and tests. */
  runNow(name: string): Promise<JobOutcome | null>;
  /** How the last run of a job ended, on whichever instance; null when there was none. */
  lastOutcome(name: string): Promise<JobOutcome | null>;
  /** Starts nothing more, tells running jobs to stop and waits for them, `waitMs` at most. */
  close(waitMs?: number): Promise<void>;
}

/** How long a lease holds without being renewed: after a crash another instance waits this long. */
const LEASE_MS = 30_000;
const RENEW_MS = 10_000;
/** Two instances look at slightly different times, so that they do not ask at once for ever. */
const JITTER = 0.1;
/** A run counts as due a little early, or clocks that differ by a moment would skip every other turn. */
const DUE_AFTER = 0.9;
const MAX_OUTCOME_LENGTH = 4_000;
const NEVER = new Date(0);

/** Makes the runner; nothing happens before `start`. */
export function createJobRunner(deps: {
  database: Database;
  logger: Logger;
  jobs: readonly Job[];
  now?: () => number;
}): JobRunner {
  const { models } = deps.database;
  const now = deps.now ?? Date.now;
  const holder = randomUUID();
  const stopping = new AbortController();
  const timers = new Set<NodeJS.Timeout>();
  const running = new Set<Promise<unknown>>();

  async function acquire(job: Job, force: boolean): Promise<boolean> {
    const at = now();
    const take = {
      where: {
        name: job.name,
        expiresAt: { lte: new Date(at) },
        ...(force
          ? {}
          : {
              OR: [
                { lastRunAt: null },
                { lastRunAt: { lte: new Date(at - job.everySeconds * 1000 * DUE_AFTER) } },
              ],
            }),
      },
      data: { holder, expiresAt: new Date(at + LEASE_MS) },
    };
    if ((await models.jobLease.updateMany(take)).count === 1) return true;
    if ((await models.jobLease.count({ where: { name: job.name } })) > 0) return false;
    // The first run of all. Whoever loses this race finds the row next time.
    const made = await models.jobLease
      .create({ data: { name: job.name, holder: null, expiresAt: NEVER } })
      .then(() => true)
      .catch(() => false);
    return made && (await models.jobLease.updateMany(take)).count === 1;
  }

  async function runJob(job: Job, force: boolean): Promise<JobOutcome | null> {
    if (!(await acquire(job, force))) return null;
    const startedAt = now();
    const abort = new AbortController();
    const stop = () => abort.abort();
    stopping.signal.addEventListener("abort", stop, { once: true });
    const limit = setTimeout(stop, job.maxSeconds * 1000);
    const renewal = setInterval(() => {
      models.jobLease
        .updateMany({
          where: { name: job.name, holder },
          data: { expiresAt: new Date(now() + LEASE_MS) },
        })
        .then(({ count }) => count === 0 && stop())
        .catch((error: unknown) =>
          deps.logger.warn({ err: error, job: job.name }, "lease not renewed"),
        );
    }, RENEW_MS);
    let outcome: JobOutcome;
    try {
      const result = (await job.run(abort.signal)) ?? null;
      outcome = { ok: true, at: iso(startedAt), durationMs: now() - startedAt, result };
      deps.logger.debug({ job: job.name, ...outcome }, "job done");
    } catch (error) {
      const result = error instanceof Error ? error.message.slice(0, 500) : "failed";
      outcome = { ok: false, at: iso(startedAt), durationMs: now() - startedAt, result };
      deps.logger.error({ err: error, job: job.name }, "job failed");
    } finally {
      clearTimeout(limit);
      clearInterval(renewal);
      stopping.signal.removeEventListener("abort", stop);
    }
    await models.jobLease.updateMany({
      where: { name: job.name, holder },
      data: {
        holder: null,
        expiresAt: NEVER,
        lastRunAt: new Date(startedAt),
        lastOutcome: bounded(outcome),
      },
    });
    return outcome;
  }

  function track<T>(work: Promise<T>): Promise<T> {
    running.add(work);
    const forget = () => running.delete(work);
    work.then(forget, forget);
    return work;
  }

  function schedule(job: Job, afterSeconds: number): void {
    if (stopping.signal.aborted) return;
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        track(runJob(job, false))
          // The database may be away; the next turn comes anyway.
          .catch((error: unknown) => deps.logger.warn({ err: error, job: job.name }, "job not run"))
          .finally(() => schedule(job, job.everySeconds));
      },
      afterSeconds * 1000 * (1 + Math.random() * JITTER),
    );
    timer.unref();
    timers.add(timer);
  }

  return {
    start() {
      for (const job of deps.jobs) schedule(job, job.firstAfterSeconds ?? job.everySeconds);
    },
    async runNow(name) {
      const job = deps.jobs.find((candidate) => candidate.name === name);
      if (!job) throw new Error(`There is no job named ${name}.`);
      return track(runJob(job, true));
    },
    async lastOutcome(name) {
      const lease = await models.jobLease.findUnique({ where: { name } });
      return lease?.lastOutcome ? (JSON.parse(lease.lastOutcome) as JobOutcome) : null;
    },
    async close(waitMs = 3_000) {
      stopping.abort();
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise((resolve) => {
        timer = setTimeout(resolve, waitMs);
      });
      await Promise.race([Promise.allSettled(running), patience]);
      clearTimeout(timer);
    },
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function bounded(outcome: JobOutcome): string {
  const text = JSON.stringify(outcome);
  return text.length <= MAX_OUTCOME_LENGTH
    ? text
    : JSON.stringify({ ...outcome, result: "too long to keep; see the log" });
}
