// What metered runs need of the outside: a model, and a place for runs.
import type { Feature } from "../../shared/src/features.ts";
import type { RunOutput } from "../kv/ports.ts";
import type { Logger } from "../lib/logger.ts";
import type { EndedRun, Run, RunEnding, RunTimings } from "./ai.types.ts";

/** One message to the model. */
export interface ModelMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What to ask of the model. */
export interface ModelRequest {
  readonly model: string;
  readonly messages: readonly ModelMessage[];
  /** The answer shall be JSON of this JSON Schema. */
  readonly json?: { readonly name: string; readonly schema: Readonly<Record<string, unknown>> };
  readonly signal: AbortSignal;
  /** How long the provider may send nothing, from the request on. */
  readonly silenceMs: number;
}

/** A piece of an answer. */
export type ModelPart =
  | { readonly type: "text"; readonly text: string }
  | {
      readonly type: "usage";
      readonly inputTokens: number | null;
      readonly outputTokens: number | null;
    };

/** Any provider of language models. adapters/model.ts implements it. */
export interface ModelPort {
  /**
   * Streams one answer; `signal` ends it. Throws AI_PROVIDER_ERROR when the provider refuses, fails, is silent for
   * `silenceMs` or breaks off before it said that the answer is complete.
   */
  stream(request: ModelRequest): AsyncIterable<ModelPart>;
}

/** Which model answers which feature; no entry = not configured. */
export type FeatureModels = Readonly<Partial<Record<Feature, string>>>;

/** The rows of `ai_runs`. runs.store.ts implements it. */
export interface RunStore {
  find(runId: string): Promise<Run | null>;
  /**
   * Holds the price and stores the run, in one transaction; the first caller of a run id makes it, later ones get it.
   * Throws INSUFFICIENT_CREDITS, RATE_LIMITED (too many at once), NOT_FOUND, FORBIDDEN.
   */
  create(order: RunOrder): Promise<{ readonly run: Run; readonly isNew: boolean }>;
  /** Says that the producer lives, and what its output is worth; tells whether somebody asked it to stop. */
  renewLease(
    runId: string,
    lease: { readonly leaseMs: number; readonly producedCredits: number },
  ): Promise<"running" | "stopRequested" | "ended">;
  requestStop(runId: string): Promise<void>;
  /**
   * Settles the hold and ends the run, in one transaction; exactly one caller ends a run, the others get what that one
   * made of it. A hold that has expired meanwhile charges nothing.
   */
  end(run: Run, ending: RunEnding): Promise<EndedRun>;
  /** Running runs whose producer has not renewed its lease, oldest first. */
  abandoned(limit: number): Promise<readonly Run[]>;
  /** Ends such a run as failed, for the share last written down; null when its producer has renewed the lease meanwhile. */
  endAbandoned(run: Run): Promise<EndedRun | null>;
  /** The clock that leases and ends are measured by: the database's, for those of instances differ. */
  now(): Promise<Date>;
}

/** A run to be made. */
export interface RunOrder {
  readonly runId: string;
  readonly userId: string;
  readonly feature: Feature;
  readonly inputHash: string;
  readonly priceCredits: number;
  readonly priceVersion: string;
  /** At most so many runs of a user at once. */
  readonly maxConcurrent: number;
  readonly holdSeconds: number;
  readonly leaseMs: number;
}

/** What producing a run needs. */
export interface ProduceDeps {
  readonly store: RunStore;
  readonly output: RunOutput;
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly timings: RunTimings;
}
