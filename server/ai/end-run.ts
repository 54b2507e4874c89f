// Ends a produced run: as completed, stopped or failed, with its charge, and with notice to its readers.
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

/** Returns what the output so far is worth, in credits. */
export function chargeSoFar({ run }: ActiveRun, progress: Progress, prompt: FeaturePrompt): number {
  return partialCharge(run.heldCredits, progress, prompt.expectedSlides);
}

/** How a stopped run is reported to its readers. `tooMuch` is complete: the answer is as long as answers can get. */
const STOPPED: Record<StopReason, Pick<RunEnding, "outcome" | "code">> = {
  stopped: { outcome: "stopped", code: null },
  abandoned: { outcome: "stopped", code: null },
  tooLong: { outcome: "stopped", code: null },
  tooMuch: { outcome: "completed", code: null },
  leaseLost: { outcome: "failed", code: "SERVICE_UNAVAILABLE" },
  shutdown: { outcome: "failed", code: "SERVICE_UNAVAILABLE" },
};

/** Decides how the run ends and its charge, from why it was stopped or what went wrong (`failure`, null = nothing). */
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
  // An answer that was complete before the stop arrived counts as completed.
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

/**
 * Settles the run and notifies its readers. Retries while the database is unavailable, END_TRIES times at most; then
 * the job that ends abandoned runs takes over.
 */
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
        // The job that ends abandoned runs will settle the hold and notify the readers.
        deps.logger.error({ err: error, runId: run.id }, "a run could not be settled yet");
        break;
      }
      await sleep(END_RETRY_MS * (0.5 + Math.random()));
    }
  }
  deps.output.finish(run.id, deps.timings.keepOutputMs / 1000);
}

/** Returns how a run that is no longer running has ended. */
export function endedRun(run: Run): EndedRun {
  return {
    outcome: run.state === "running" ? "failed" : run.state,
    charged: run.charged,
    balance: run.balance ?? 0,
    code: run.code,
  };
}

/** Returns the event that reports the end to readers. */
export function endEvent({ outcome, charged, balance, code }: EndedRun): RunEvent {
  return { type: "end", outcome, charged, balance, ...(code === null ? {} : { code }) };
}

/** Logs what the provider reported, but never what the user or the model wrote. */
function logFailure(logger: Logger, active: ActiveRun, ending: RunEnding, failure: unknown): void {
  if (ending.outcome !== "failed") return;
  const { id: runId, userId, feature } = active.run;
  const facts = { runId, userId, feature, model: ending.model, code: ending.code };
  if (ending.code === "INTERNAL") logger.error({ ...facts, err: failure }, "run failed");
  else
    logger.warn({ ...facts, reason: isAppError(failure) ? failure.message : null }, "run failed");
}
