// What /ready reports.
import type { DependencyState } from "../lib/dependency-state.ts";
import type { JobOutcome } from "../jobs/runner.ts";
import type { EventBacklog } from "../payment/payment.types.ts";

/** The dependencies checked. `disk` is present with SQLite only, `stripe` where a key is set. */
export interface Dependencies {
  readonly database: DependencyState;
  readonly redis: DependencyState;
  readonly disk?: DependencyState;
  readonly stripe?: DependencyState;
  readonly clock: DependencyState;
}

/** The response of /ready. */
export interface Readiness {
  readonly success: boolean;
  /** Whether this instance should be sent work: 200, else 503. */
  readonly ready: boolean;
  /** `degraded`: the instance works, but something does not, and somebody has to look into it. */
  readonly state: "ready" | "degraded" | "not ready";
  readonly shuttingDown: boolean;
  readonly dependencies: Dependencies;
  /** What to do: a sentence for each dependency that is not up, and one if Stripe events failed. */
  readonly actions: readonly string[];
  /** Server processes on this port. */
  readonly workers: { readonly wanted: number; readonly listening: number };
  /** Stripe events that are stored but not processed; null when unknown. */
  readonly events: EventBacklog | null;
  /** The last audit of the ledger; null when there has been none, or it is unknown. */
  readonly doctor: JobOutcome | null;
  readonly timestamp: string;
}
