// Metrics of outgoing calls: the database's errors, and every call to Stripe, Google and the model.
import { Counter, Histogram, type Registry } from "prom-client";
import { classifyDatabaseError, DATABASE_ERROR_CLASSES } from "../database/errors.ts";

/** The vendor that is called. */
export type Vendor = "stripe" | "google" | "model";

/** Registers the metrics of calls. Each kind of error starts at 0, so that a first one shows as an increase. */
export function measureCalls(registry: Registry) {
  const errors = new Counter({
    name: "database_errors_total",
    help: "Statements and transactions that failed, by what the error means; each try counts.",
    labelNames: ["kind"] as const,
    registers: [registry],
  });
  for (const kind of DATABASE_ERROR_CLASSES) errors.inc({ kind }, 0);
  const calls = new Counter({
    name: "vendor_calls_total",
    help: "Calls of Stripe, Google and the model provider, by call and outcome.",
    labelNames: ["vendor", "call", "outcome"] as const,
    registers: [registry],
  });
  const durations = new Histogram({
    name: "vendor_call_duration_seconds",
    help: "Duration of calls of Stripe, Google and the model provider, with their retries.",
    labelNames: ["vendor", "outcome"] as const,
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
    registers: [registry],
  });
  return {
    /** Counts a statement, a transaction or a connection that failed. */
    databaseFailed: (error: unknown) => errors.inc({ kind: classifyDatabaseError(error) }),
    /** Records one call as a whole, including its retries. `call` and `outcome` are our own words. */
    called(vendor: Vendor, call: string, outcome: string, seconds: number): void {
      // A vendor that has failed from the start needs the series of successes too, for its share of them to be 0.
      calls.inc({ vendor, call, outcome: "ok" }, 0);
      calls.inc({ vendor, call, outcome });
      durations.observe({ vendor, outcome: outcome === "ok" ? "ok" : "failed" }, seconds);
    },
  };
}
