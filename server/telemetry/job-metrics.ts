// What is measured of jobs.
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { JobRun, JobRunner } from "../jobs/runner.ts";

/** Returns what records one run on this instance. The label is not `job`, which Prometheus sets itself. */
export function measureJobs(
  registry: Registry,
  lastSuccesses: JobRunner["lastSuccesses"],
): (run: JobRun) => void {
  new Gauge({
    name: "job_last_success_age_seconds",
    aggregator: "max",
    help: "Seconds since the start of the last run that went well, on whichever instance, by job.",
    labelNames: ["job_name"] as const,
    registers: [registry],
    async collect() {
      for (const { job, ageSeconds } of await lastSuccesses().catch(() => []))
        if (ageSeconds !== null) this.set({ job_name: job }, ageSeconds);
    },
  });
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
  const lags = new Gauge({
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
  const behind = new Gauge({
    name: "job_behind_seconds",
    aggregator: "max",
    help: "How long the oldest row that the last run on this instance did not come to has been due, by job; 0 when it came to all.",
    labelNames: ["job_name"] as const,
    registers: [registry],
  });
  return ({ job: job_name, ok, durationMs, lagMs, rows, behindSeconds }) => {
    runs.inc({ job_name, outcome: ok ? "failed" : "ok" }, 0);
    runs.inc({ job_name, outcome: ok ? "ok" : "failed" });
    durations.observe({ job_name }, durationMs / 1000);
    lags.set({ job_name }, lagMs / 1000);
    rowCounts.inc({ job_name }, rows ?? 0);
    behind.set({ job_name }, behindSeconds);
  };
}
