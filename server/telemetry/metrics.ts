// /metrics: what Prometheus may know about this process, and who may ask.
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import type { Config } from "../config/config.ts";
import type { Readiness } from "../health/health.types.ts";
import type { Backend } from "../infrastructure.ts";
import type { EventBacklog } from "../payment/payment.types.ts";
import type { JobRunner } from "../jobs/runner.ts";
import { equalSecrets } from "../lib/keys.ts";
import { measureCalls } from "./call-metrics.ts";
import { registerBackend, registerReadiness } from "./backend-metrics.ts";
import { measureBusiness } from "./business-metrics.ts";
import { countStalls } from "./event-loop.ts";
import { measureHttp } from "./http-metrics.ts";
import { measureJobs } from "./job-metrics.ts";
import { measureLedger } from "./ledger-metrics.ts";

/** The metrics of one app. Recording costs a few additions: hot paths resolve label values beforehand. */
export type Metrics = ReturnType<typeof createMetrics>;

/** What is read at each scrape. Sources that query a database should cache their result for a while. */
export interface MetricsDeps {
  readonly config: Pick<Config, "environment" | "metricsToken">;
  readonly version: string;
  readonly backend: Pick<Backend, "stats" | "diskSpace">;
  readonly readiness: () => Promise<Readiness>;
  readonly backlog: () => Promise<EventBacklog>;
  readonly oldestPendingEventAt: () => Promise<Date | null>;
  readonly ledgerPending: () => number;
  /** Counted since this process started. */
  readonly droppedLines: () => number;
  /** Returns the combined metrics of all workers on this port; null = this process is the only one. */
  readonly renderAllWorkers: (() => Promise<string>) | null;
  readonly jobStatuses: JobRunner["jobStatuses"];
}

/**
 * Creates metrics with their own registry, so that two apps in one process do not collide. Without METRICS_TOKEN they
 * are off in production and open elsewhere.
 */
export function createMetrics(deps: MetricsDeps) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  registerBuild(registry, deps.version);
  registerBackend(registry, deps.backend.stats);
  registerReadiness(registry, { readiness: deps.readiness, diskSpace: deps.backend.diskSpace });
  registerBacklog(registry, deps);
  registerLog(registry, deps.droppedLines);
  const access = accessCheck(deps.config);
  const { renderAllWorkers } = deps;
  if (renderAllWorkers !== null) answerParent(registry);
  return {
    registry,
    http: measureHttp(registry),
    calls: measureCalls(registry),
    ledger: measureLedger(registry, deps.ledgerPending),
    business: measureBusiness(registry),
    jobs: measureJobs(registry, deps.jobStatuses),
    /** Counts one stall of the event loop. */
    stalled: countStalls(registry),
    /** Stops measuring the process. */
    close: () => registry.clear(),
    /** Returns the Prometheus text, or why this caller may not see it. */
    async render(authorization: string | undefined) {
      const refusal = access(authorization);
      if (refusal !== null) return refusal;
      const text = await (renderAllWorkers ?? registry.metrics.bind(registry))();
      return { text, type: registry.contentType };
    },
  };
}

function registerBuild(registry: Registry, version: string): void {
  new Gauge({
    name: "build_info",
    aggregator: "first",
    help: "Always 1; the labels say which build runs on which Node.js.",
    labelNames: ["version", "node"] as const,
    registers: [registry],
  }).set({ version, node: process.version }, 1);
}

function registerBacklog(
  registry: Registry,
  { backlog, oldestPendingEventAt }: Pick<MetricsDeps, "backlog" | "oldestPendingEventAt">,
): void {
  new Gauge({
    name: "stripe_events_backlog",
    aggregator: "max",
    help: "Stripe events not processed yet, by state.",
    labelNames: ["status"] as const,
    registers: [registry],
    async collect() {
      const counts = await backlog().catch(() => null);
      if (!counts) return;
      this.set({ status: "pending" }, counts.pending);
      this.set({ status: "failed" }, counts.failed);
    },
  });
  new Gauge({
    name: "stripe_events_oldest_pending_seconds",
    aggregator: "max",
    help: "How long ago the oldest Stripe event that is still pending arrived; 0 when none is.",
    registers: [registry],
    async collect() {
      const oldest = await oldestPendingEventAt().catch(() => undefined);
      if (oldest === undefined) return;
      this.set(oldest === null ? 0 : Math.max(0, (Date.now() - oldest.getTime()) / 1000));
    },
  });
}

/** A counter that the log itself keeps. */
function registerLog(registry: Registry, droppedLines: () => number): void {
  new Counter({
    name: "log_lines_dropped_total",
    help: "Log lines that were dropped because nobody read them.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(droppedLines());
    },
  });
}

/** Makes this worker send its metrics whenever its parent asks for them. */
function answerParent(registry: Registry): void {
  AggregatorRegistry.setRegistries([registry]);
  new AggregatorRegistry();
}

/** Returns a check of the authorization; it returns null when the caller may see the metrics. */
function accessCheck({ metricsToken, environment }: MetricsDeps["config"]) {
  const expected = metricsToken === null ? null : `Bearer ${metricsToken}`;
  return (authorization: string | undefined): "off" | "refused" | null => {
    if (expected === null) return environment === "production" ? "off" : null;
    return equalSecrets(authorization ?? "", expected) ? null : "refused";
  };
}
