// Metrics of the back end, read from it at each scrape: connections of the database, Redis and its circuit.
import { Counter, Gauge, type Registry } from "prom-client";
import type { Readiness } from "../health/health.types.ts";
import type { Backend, BackendStats } from "../infrastructure.ts";
import type { DependencyState } from "../lib/dependency-state.ts";

/** Registers the states that /ready reports, and the free space on an embedded database's disk. */
export function registerReadiness(
  registry: Registry,
  deps: { readiness: () => Promise<Readiness>; diskSpace: Backend["diskSpace"] },
): void {
  const values = { up: 1, degraded: 0.5, down: 0 };
  new Gauge({
    name: "dependency_state",
    aggregator: "min",
    help: "What /ready says of each dependency: 1 up, 0.5 degraded, 0 down.",
    labelNames: ["dependency"] as const,
    registers: [registry],
    async collect() {
      const { dependencies } = await deps.readiness();
      for (const [dependency, { status }] of Object.entries(dependencies) as Named[])
        this.set({ dependency }, values[status]);
    },
  });
  new Gauge({
    name: "disk_free_bytes",
    aggregator: "min",
    help: "Free space on the disk of the embedded database's file; 0 where the database is a server.",
    registers: [registry],
    async collect() {
      this.set((await deps.diskSpace().catch(() => null))?.freeBytes ?? 0);
    },
  });
}

type Named = [string, DependencyState];

/**
 * Registers the back end's metrics. Pools that do not exist have no series; without Redis, neither has `redis_up`, and
 * Redis's counters stay 0.
 */
export function registerBackend(registry: Registry, stats: () => BackendStats): void {
  registerPools(registry, stats);
  registerRedis(registry, stats);
}

function registerPools(registry: Registry, stats: () => BackendStats): void {
  new Gauge({
    name: "database_pool_connections",
    help: "Connections of the database's pools, by pool and state; `limit` is the most there may be.",
    labelNames: ["pool", "state"] as const,
    registers: [registry],
    collect() {
      for (const { pool, active, idle, limit } of stats().pools) {
        this.set({ pool, state: "active" }, active);
        this.set({ pool, state: "idle" }, idle);
        this.set({ pool, state: "limit" }, limit);
      }
    },
  });
  new Gauge({
    name: "database_pool_waiting",
    help: "Requests that wait for a connection of a pool.",
    labelNames: ["pool"] as const,
    registers: [registry],
    collect() {
      for (const { pool, waiting } of stats().pools) this.set({ pool }, waiting);
    },
  });
}

function registerRedis(registry: Registry, stats: () => BackendStats): void {
  new Gauge({
    name: "redis_up",
    aggregator: "min",
    help: "1 while Redis is used, 0 while its circuit is open and everything falls back.",
    registers: [registry],
    collect() {
      const { redis } = stats();
      if (redis === null) this.remove();
      else this.set(redis.circuitOpen ? 0 : 1);
    },
  });
  total(registry, stats, "redis_circuit_opened_total", {
    help: "How often Redis was found to be unavailable.",
    read: ({ opened }) => opened,
  });
  total(registry, stats, "redis_fallbacks_total", {
    help: "Questions that were answered without Redis.",
    read: ({ fallbacks }) => fallbacks,
  });
}

/** A counter that Redis's circuit itself keeps. */
function total(
  registry: Registry,
  stats: () => BackendStats,
  name: string,
  metric: { help: string; read: (redis: NonNullable<BackendStats["redis"]>) => number },
): void {
  new Counter({
    name,
    help: metric.help,
    registers: [registry],
    collect() {
      const { redis } = stats();
      this.reset();
      this.inc(redis === null ? 0 : metric.read(redis));
    },
  });
}
