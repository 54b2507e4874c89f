// Metrics of jobs.
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { memoize } from "../lib/memoize.ts";
import type { JobRun, JobRunner } from "../jobs/runner.ts";

/** Registers the metrics of jobs. Their label is not `job`, because Prometheus itself sets that one. */
export function measureJobs(registry: Registry, jobStatuses: JobRunner["jobStatuses"]) {
  registerJobStatuses(registry, jobStatuses);
  const runs = new Counter({
    name: "job_runs_total",
    help: "Runs of jobs on this instance, by job and outcome.",
    labelNames: ["job_name", "outcome"] as const,
    registers: [registry],
  });
  const durations = new Histogram({
    name: "job_duration_seconds",
    help: "Duration of the runs of jobs on this instance, by job.",
    labelNames: ["job_name"] as const,
    buckets: [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900],
    registers: [registry],
  });
  const lateness = new Gauge({
    name: "job_start_lag_seconds",
    aggregator: "max",
    help: "How much later than due the last run on this instance began, by job.",
    labelNames: ["job_name"] as const,
    registers: [registry],
  });
  const rowCounts = new Counter({
    name: "job_rows_total",
    help: "Rows that jobs dealt with on this instance, by job.",
    labelNames: ["job_name"] as const,
    registers: [registry],
  });
  return {
    /** Starts the counters at 0: Prometheus sees no increase in a series that begins with the first failure. */
    begin(names: readonly string[]): void {
      for (const job_name of names)
        for (const outcome of ["ok", "failed"]) runs.inc({ job_name, outcome }, 0);
    },
    /** Records one run on this instance. */
    ran({ job: job_name, ok, durationMs, lateMs, rows }: JobRun): void {
      runs.inc({ job_name, outcome: ok ? "ok" : "failed" });
      durations.observe({ job_name }, durationMs / 1000);
      lateness.set({ job_name }, lateMs / 1000);
      rowCounts.inc({ job_name }, rows ?? 0);
    },
  };
}

/** Registers what the database knows about each job. While it cannot be read, the gauges keep their last values. */
function registerJobStatuses(registry: Registry, jobStatuses: JobRunner["jobStatuses"]): void {
  // Both gauges are collected simultaneously, so they share one read.
  const jobs = memoize(0, () => jobStatuses().catch(() => []));
  new Gauge({
    name: "job_last_success_age_seconds",
    aggregator: "max",
    help: "Seconds since the start of the last run that went well, on whichever instance, by job; where none did, of its first run; where it was never run, since the start of this process.",
    labelNames: ["job_name"] as const,
    registers: [registry],
    async collect() {
      for (const { job, ageSeconds } of await jobs())
        this.set({ job_name: job }, ageSeconds ?? process.uptime());
    },
  });
  new Gauge({
    name: "job_behind_seconds",
    aggregator: "max",
    help: "How long the oldest row has been due that the last run, on whichever instance, did not come to, by job; 0 when it came to all.",
    labelNames: ["job_name"] as const,
    registers: [registry],
    async collect() {
      for (const { job, lagSeconds } of await jobs()) this.set({ job_name: job }, lagSeconds);
    },
  });
}
