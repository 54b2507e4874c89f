// What metered runs need from outside: a model, and a store for runs.
import type { Feature } from "../../shared/src/features.ts";
import type { RunOutput } from "../kv/ports.ts";
import type { Logger } from "../lib/logger.ts";
import type { EndedRun, Run, RunEnding, RunTimings, TokenCounts } from "./ai.types.ts";

/** One message to the model. */
export interface ModelMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A request to the model. */
export interface ModelRequest {
  readonly model: string;
  readonly messages: readonly ModelMessage[];
  /** The answer must be JSON that matches this JSON Schema. */
  readonly json?: { readonly name: string; readonly schema: Readonly<Record<string, unknown>> };
  readonly signal: AbortSignal;
  /** How long the provider may send nothing, starting with the request. */
  readonly silenceMs: number;
}

/** A piece of an answer. */
export type ModelPart =
  | { readonly type: "text"; readonly text: string }
  | ({ readonly type: "usage" } & Readonly<TokenCounts>);

/** Any provider of language models. Implemented by adapters/model.ts. */
export interface ModelPort {
  /**
   * Streams one answer; `signal` ends it. Throws AI_PROVIDER_ERROR when the provider refuses, fails, sends nothing for
   * `silenceMs`, or breaks off before reporting that the answer is complete.
   */
  stream(request: ModelRequest): AsyncIterable<ModelPart>;
}

/** The model behind each feature; a feature without an entry is not configured. */
export type FeatureModels = Readonly<Partial<Record<Feature, string>>>;

/** The rows of `ai_runs`. Implemented by runs.store.ts. */
export interface RunStore {
  find(runId: string): Promise<Run | null>;
  /**
   * Holds the price and stores the run in one transaction. The first caller with a run id creates it, later ones get
   * it. Throws INSUFFICIENT_CREDITS, RATE_LIMITED (too many concurrent runs), IDEMPOTENCY_CONFLICT (the key is known,
   * but its run no longer exists), NOT_FOUND, FORBIDDEN.
   */
  create(order: RunOrder): Promise<{ readonly run: Run; readonly isNew: boolean }>;
  /** Renews the producer's lease and records what its output is worth. Returns whether it was asked to stop. */
  renewLease(
    runId: string,
    lease: { readonly leaseMs: number; readonly producedCredits: number },
  ): Promise<"running" | "stopRequested" | "ended">;
  requestStop(runId: string): Promise<void>;
  /**
   * Settles the hold and ends the run in one transaction. Exactly one caller ends a run; the others get the end that it
   * already has. If the hold has expired meanwhile, nothing is charged.
   */
  end(run: Run, ending: RunEnding): Promise<EndedRun>;
  /** Returns running runs whose lease has expired, longest ago first. */
  abandoned(limit: number): Promise<readonly Run[]>;
  /** Ends such a run as failed, charging the share last recorded. Null if it was renewed or ended meanwhile. */
  endAbandoned(run: Run): Promise<EndedRun | null>;
  /** The time by which leases and ends are measured: the database's, because the clocks of instances differ. */
  now(): Promise<Date>;
}

/** A run to create. */
export interface RunOrder {
  readonly runId: string;
  readonly userId: string;
  readonly feature: Feature;
  readonly inputHash: string;
  readonly priceCredits: number;
  readonly priceVersion: string;
  /** Most concurrent runs of one user. */
  readonly maxConcurrent: number;
  readonly holdSeconds: number;
  readonly leaseMs: number;
}

/** Dependencies of producing a run. */
export interface ProduceDeps {
  readonly store: RunStore;
  readonly output: RunOutput;
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly timings: RunTimings;
}
