// Starts a run: derives its id from the key, holds the price, starts the producer. A replay returns the same run.
import { createHash } from "node:crypto";
import type { Charging } from "../credit/ports.ts";
import { AppError } from "../lib/errors.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { Run, StartInput, StartResult } from "./ai.types.ts";
import type { FeatureModels, ProduceDeps } from "./ports.ts";
import { produceRun } from "./produce-run.ts";
import { promptOf } from "./prompts.ts";

/** Dependencies of starting a run. */
interface StartDeps extends ProduceDeps, Charging {
  readonly active: ActiveRuns;
  readonly models: FeatureModels;
  /** Whether the server is shutting down, so that nothing new may start. */
  readonly isClosing: () => boolean;
}

/** Most concurrent runs of one user, across all instances. */
const MAX_RUNS_PER_USER = 10;
/** Most concurrent runs of one process: each holds a connection to the provider and a buffer. */
const MAX_RUNS_PER_PROCESS = 1_000;
/** How long a hold outlasts the longest run: longer than settling takes, so that it never expires under a live run. */
const HOLD_MARGIN_MS = 300_000;

/**
 * Starts a run, or returns the one that this key started before. Throws INSUFFICIENT_CREDITS, RATE_LIMITED (10
 * concurrent runs), IDEMPOTENCY_CONFLICT (other input), AI_PROVIDER_ERROR (no model is configured),
 * SERVICE_UNAVAILABLE.
 */
export async function startRun(
  deps: StartDeps,
  userId: string,
  input: StartInput,
): Promise<StartResult> {
  const runId = runIdOf(userId, input.idempotencyKey);
  const inputHash = hashInput(runId, input);
  const known = await deps.store.find(runId);
  if (known !== null) return replay(known, inputHash);
  const model = deps.models[input.feature];
  if (model === undefined) throw notConfigured(input.feature);
  if (deps.isClosing() || deps.active.size >= MAX_RUNS_PER_PROCESS) throw busy();
  const { run, isNew } = await deps.withPackageSuggestion(() =>
    deps.store.create({
      runId,
      userId,
      feature: input.feature,
      inputHash,
      priceCredits: deps.prices.credits[input.feature],
      priceVersion: deps.prices.version,
      maxConcurrent: MAX_RUNS_PER_USER,
      holdSeconds: Math.ceil((deps.timings.maxRunMs + HOLD_MARGIN_MS) / 1000),
      leaseMs: deps.timings.leaseMs,
    }),
  );
  if (!isNew) return replay(run, inputHash);
  const keepSeconds = (deps.timings.maxRunMs + deps.timings.keepOutputMs) / 1000;
  deps.output.begin(runId, Math.ceil(keepSeconds) + 120);
  const started = deps.active.start(run, (active) =>
    produceRun(deps, active, { model, prompt: promptOf(input) }),
  );
  // The server began to stop while the run was being stored.
  if (deps.isClosing()) started.stop("shutdown");
  return resultOf(run, false);
}

/** `run_` and 128 bits of a hash of user and key, so that equal keys of two users make two runs. */
function runIdOf(userId: string, idempotencyKey: string): string {
  const hash = createHash("sha256").update(`${userId}\n${idempotencyKey}`).digest("hex");
  return `run_${hash.slice(0, 32)}`;
}

/** Salted with the run's id, so that the database does not show which runs had equal prompts. */
function hashInput(runId: string, { idempotencyKey: _key, ...input }: StartInput): string {
  return createHash("sha256")
    .update(`${runId}\n${JSON.stringify(input)}`)
    .digest("base64url");
}

function replay(run: Run, inputHash: string): StartResult {
  if (run.inputHash !== inputHash)
    throw AppError.of(
      "IDEMPOTENCY_CONFLICT",
      "This idempotency key has started another run. Use a new key for other input.",
    );
  return resultOf(run, true);
}

function resultOf({ id, feature, heldCredits }: Run, replayed: boolean): StartResult {
  return { runId: id, feature, heldCredits, replayed };
}

function notConfigured(feature: string): AppError {
  return AppError.of(
    "AI_PROVIDER_ERROR",
    `No model is configured for ${feature}: the operator sets AI_BASE_URL and AI_MODEL_FLASH or AI_MODEL_PRO.`,
  );
}

function busy(): AppError {
  return AppError.of("SERVICE_UNAVAILABLE", "This server cannot start more runs right now.", {
    retryAfterSeconds: 2,
  });
}
