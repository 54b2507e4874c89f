// Starting a run: the key makes its id, the price is held, the producer begins. The same key and input give the same run.
import { createHash } from "node:crypto";
import type { Charging } from "../credit/ports.ts";
import { AppError } from "../lib/errors.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { Run, StartInput, StartResult } from "./ai.types.ts";
import type { FeatureModels, ProduceDeps } from "./ports.ts";
import { produceRun } from "./produce-run.ts";
import { promptOf } from "./prompts.ts";

/** Dependencies of starting a run. */
export interface StartDeps extends ProduceDeps, Charging {
  readonly active: ActiveRuns;
  readonly models: FeatureModels;
  /** True once the server is stopping: nothing new begins. */
  readonly isClosing: () => boolean;
}

/** Runs of one user at once, over all instances. */
const MAX_RUNS_PER_USER = 10;
/** Runs of one process at once: each holds a connection to the provider and a buffer. */
const MAX_RUNS_PER_PROCESS = 1_000;
/** Longer than the longest run and its settling, so that a hold never ends under a run that lives. */
const HOLD_MARGIN_MS = 300_000;

/**
 * Starts a run, or returns the one this key started before. Throws INSUFFICIENT_CREDITS, RATE_LIMITED (10 runs at once),
 * IDEMPOTENCY_CONFLICT (other input), AI_PROVIDER_ERROR (no model is configured), SERVICE_UNAVAILABLE.
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
  deps.active.start(run, (active) => produceRun(deps, active, { model, prompt: promptOf(input) }));
  return resultOf(run, false);
}

/** `run_` and 128 bits of a hash of user and key: two users' equal keys are two runs. */
export function runIdOf(userId: string, idempotencyKey: string): string {
  const hash = createHash("sha256").update(`${userId}\n${idempotencyKey}`).digest("hex");
  return `run_${hash.slice(0, 32)}`;
}

/** Salted with the run's id, so that equal prompts of two runs cannot be told from the database. */
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
