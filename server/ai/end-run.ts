// How a produced run ends: completed, stopped or failed, what it costs, and that its readers hear of it.
import { setTimeout as sleep } from "node:timers/promises";
import type { RunEvent } from "../../shared/src/ai.ts";
import type { ErrorCode } from "../../shared/src/errors.ts";
import { isAppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { ActiveRun, StopReason } from "./active-runs.ts";
import type { EndedRun, Progress, Run, RunEnding } from "./ai.types.ts";
import { partialCharge } from "./charge.ts";
import type { ProduceDeps } from "./ports.ts";
import type { FeaturePrompt } from "./prompts.ts";

const END_RETRY_MS = 1_500;
const END_TRIES = 40;

/** What the output so far is worth, credits. */
export function chargeSoFar({ run }: ActiveRun, progress: Progress, prompt: FeaturePrompt): number {
  return partialCharge(run.heldCredits, progress, prompt.expectedSlides);
}

/** How a stopped run is told to its readers. A cut answer is a whole one: it is as long as answers get. */
const STOPPED: Record<StopReason, Pick<RunEnding, "outcome" | "code">> = {
  stopped: { outcome: "stopped", code: null },
  abandoned: { outcome: "stopped", code: null },
  tooLong: { outcome: "stopped", code: null },
  tooMuch: { outcome: "completed", code: null },
  leaseLost: { outcome: "failed", code: "SERVICE_UNAVAILABLE" },
  shutdown: { outcome: "failed", code: "SERVICE_UNAVAILABLE" },
};

/** How the run ends, by why it was told to end or what went wrong (`failure`, null = nothing), and its charge. */
export function endingOf(
  active: ActiveRun,
  progress: Progress,
  { model, prompt }: { readonly model: string; readonly prompt: FeaturePrompt },
  failure: unknown,
): RunEnding {
  const facts = {
    inputTokens: progress.inputTokens,
    outputTokens: progress.outputTokens,
    model,
    durationMs: performance.now() - active.startedAtMs,
    lastSeq: progress.lastSeq + 1,
  };
  const partial = chargeSoFar(active, progress, prompt);
  const whole = active.run.heldCredits;
  // An answer that was complete before the stop arrived is complete.
  if (failure === null) {
    const isEmpty = progress.characters === 0 && progress.slides === 0;
    return isEmpty
      ? { ...facts, outcome: "failed", code: "AI_PROVIDER_ERROR", chargeCredits: 0 }
      : { ...facts, outcome: "completed", code: null, chargeCredits: whole };
  }
  if (active.stopReason !== null) {
    const how = STOPPED[active.stopReason];
    return { ...facts, ...how, chargeCredits: how.outcome === "completed" ? whole : partial };
  }
  return { ...facts, outcome: "failed", code: codeOf(failure), chargeCredits: partial };
}

function codeOf(failure: unknown): ErrorCode {
  return isAppError(failure) ? failure.code : "INTERNAL";
}

/** Settles and tells the readers, past a database that is briefly unavailable; then it is left to the job that ends abandoned runs. */
export async function endRun(
  deps: ProduceDeps,
  active: ActiveRun,
  ending: RunEnding,
  failure: unknown,
): Promise<void> {
  const { run } = active;
  logFailure(deps.logger, active, ending, failure);
  for (let tries = 1; ; tries += 1) {
    try {
      const ended = await deps.store.end(run, ending);
      deps.output.append(run.id, JSON.stringify(endEvent(ended)));
      break;
    } catch (error) {
      const isFinal = tries === END_TRIES || !isAppError(error, "SERVICE_UNAVAILABLE");
      if (isFinal) {
        // Its hold and its readers are left to the job that ends abandoned runs.
        deps.logger.error({ err: error, runId: run.id }, "a run could not be settled yet");
        break;
      }
      await sleep(END_RETRY_MS * (0.5 + Math.random()));
    }
  }
  deps.output.finish(run.id, deps.timings.keepOutputMs / 1000);
}

/** How a run that is not running any more has ended. */
export function endedRun(run: Run): EndedRun {
  return {
    outcome: run.state === "running" ? "failed" : run.state,
    charged: run.charged,
    balance: run.balance ?? 0,
    code: run.code,
  };
}

/** The event that tells readers of the end. */
export function endEvent({ outcome, charged, balance, code }: EndedRun): RunEvent {
  return { type: "end", outcome, charged, balance, ...(code === null ? {} : { code }) };
}

/** What the provider said goes to the log; what the user and the model said never does. */
function logFailure(logger: Logger, active: ActiveRun, ending: RunEnding, failure: unknown): void {
  if (ending.outcome !== "failed") return;
  const { id: runId, userId, feature } = active.run;
  const facts = { runId, userId, feature, model: ending.model, code: ending.code };
  if (ending.code === "INTERNAL") logger.error({ ...facts, err: failure }, "run failed");
  else
    logger.warn({ ...facts, reason: isAppError(failure) ? failure.message : null }, "run failed");
}
