// /metrics: what Prometheus may know of this process, and who may ask.
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { AggregatorRegistry, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Config } from "../../config/config.ts";
import { recordOf } from "../request-record.ts";

/** The metrics of one app. */
export interface Metrics {
  readonly registry: Registry;
  /** Counts one durable batch of the ledger. */
  batch(batch: { readonly operations: number; readonly seconds: number }): void;
  /** Times a request until its answer is out. */
  watch(request: IncomingMessage, response: ServerResponse): void;
  /** Stops measuring the process. */
  close(): void;
  /** The Prometheus text, or why this caller may not see it. */
  render(
    authorization: string | undefined,
  ): Promise<"off" | "refused" | { text: string; type: string }>;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Dependencies of the metrics; `backlog` and `ledgerPending` are asked at each scrape. */
export interface MetricsDeps {
  readonly config: Pick<Config, "environment" | "metricsToken">;
  readonly backlog: () => Promise<{ pending: number; failed: number }>;
  readonly ledgerPending: () => number;
  /** The metrics of all workers of this port together; null = this process is alone. */
  readonly ofAllWorkers: (() => Promise<string>) | null;
}

/**
 * Makes metrics with a registry of their own, so that two apps in one process do not meet. In production without
 * METRICS_TOKEN they are off; in development without one they are open.
 */
export function createMetrics(deps: MetricsDeps): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const watch = timeRequests(registry);
  registerBacklog(registry, deps.backlog);
  const batch = measureBatches(registry);
  registerPending(registry, deps.ledgerPending);
  const access = accessCheck(deps.config);
  const { ofAllWorkers } = deps;
  if (ofAllWorkers !== null) answerParent(registry);
  return {
    registry,
    batch,
    watch,
    close: () => registry.clear(),
    async render(authorization) {
      const refusal = access(authorization);
      if (refusal !== null) return refusal;
      const text = await (ofAllWorkers ?? registry.metrics.bind(registry))();
      return { text, type: registry.contentType };
    },
  };
}

/** From now on this worker sends its metrics when its parent asks for them. */
function answerParent(registry: Registry): void {
  AggregatorRegistry.setRegistries([registry]);
  new AggregatorRegistry();
}

/** Any other word of a caller's would be a label of its own. */
const METHODS = new Set(["GET", "POST", "OPTIONS", "HEAD", "PATCH"]);

function timeRequests(registry: Registry): Metrics["watch"] {
  const durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Duration of HTTP requests by route and status class.",
    labelNames: ["route", "method", "status"] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return (request, response) => {
    const startedAt = process.hrtime.bigint();
    response.once("close", () => {
      const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
      const method = METHODS.has(request.method ?? "") ? (request.method ?? "") : "other";
      // Streams live for minutes and would drown the durations of calls.
      if (response.getHeader("content-type") === "text/event-stream") return;
      durations.observe(
        {
          route: recordOf(request).route,
          method,
          status: `${Math.floor(response.statusCode / 100)}xx`,
        },
        seconds,
      );
    });
  };
}

function registerBacklog(registry: Registry, backlog: MetricsDeps["backlog"]): void {
  new Gauge({
    name: "stripe_events_backlog",
    help: "Stripe events not processed yet, by state.",
    labelNames: ["status"] as const,
    registers: [registry],
    // Every worker counts the same rows.
    aggregator: "max",
    async collect() {
      const counts = await backlog().catch(() => null);
      if (!counts) return;
      this.set({ status: "pending" }, counts.pending);
      this.set({ status: "failed" }, counts.failed);
    },
  });
}

function measureBatches(registry: Registry): Metrics["batch"] {
  const batchOperations = new Histogram({
    name: "ledger_batch_operations",
    help: "Credit operations that became durable together, in one transaction.",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers: [registry],
  });
  const batchSeconds = new Histogram({
    name: "ledger_batch_duration_seconds",
    help: "Duration of a batch's transaction, with its retries.",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  return ({ operations, seconds }) => {
    batchOperations.observe(operations);
    batchSeconds.observe(seconds);
  };
}

function registerPending(registry: Registry, pending: () => number): void {
  new Gauge({
    name: "ledger_operations_pending",
    help: "Credit operations waiting or under way.",
    registers: [registry],
    collect() {
      this.set(pending());
    },
  });
}

/** Null when the caller may see the metrics. */
function accessCheck({ metricsToken, environment }: MetricsDeps["config"]) {
  const expected = metricsToken === null ? null : digest(`Bearer ${metricsToken}`);
  return (authorization: string | undefined): "off" | "refused" | null => {
    if (expected === null) return environment === "production" ? "off" : null;
    return timingSafeEqual(digest(authorization ?? ""), expected) ? null : "refused";
  };
}
