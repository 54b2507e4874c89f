// Producing one run: ask the model, append what it says, watch over the run meanwhile, and end it with its charge.
// Work on the model is apart from whoever reads it: readers come and go (read-run.ts).
import { setTimeout as sleep } from "node:timers/promises";
import type { RunEvent } from "../../shared/src/ai.ts";
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { RunOutput } from "../kv/ports.ts";
import { isAppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { ActiveRun, StopReason } from "./active-runs.ts";
import type { EndedRun, RunEnding, RunTimings, TokenCounts } from "./ai.types.ts";
import { type Produced, partialCharge } from "./charge.ts";
import { createDeckParser } from "./deck-parser.ts";
import type { ModelPort, RunStore } from "./ports.ts";
import type { FeaturePrompt } from "./prompts.ts";

/** Dependencies of a producer. */
export interface ProduceDeps {
  readonly store: RunStore;
  readonly output: RunOutput;
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly timings: RunTimings;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Text of one run is cut there: what a reader has to replay stays bounded. */
const MAX_TEXT_LENGTH = 200_000;
/** Text that arrives within this time goes out as one event. */
const GATHER_MS = 30;
const END_PAUSES_MS = [100, 300, 1_000, 3_000, 5_000, 5_000, 10_000, 10_000, 10_000];

/** What one run has produced so far. */
interface Progress extends TokenCounts {
  characters: number;
  slides: number;
  inputTokens: number | null;
  outputTokens: number | null;
}

/** Runs the model to its end, or to the run's. Never rejects. */
export async function produceRun(
  deps: ProduceDeps,
  active: ActiveRun,
  request: { readonly model: string; readonly prompt: FeaturePrompt },
): Promise<void> {
  const progress: Progress = { characters: 0, slides: 0, inputTokens: null, outputTokens: null };
  const watching = watchOver(deps, active, () => chargeSoFar(active, progress, request.prompt));
  let failure: unknown = null;
  try {
    await askModel(deps, active, request, progress);
  } catch (error) {
    failure = error;
  }
  watching.end();
  await endRun(deps, active, endingOf(active, progress, request, failure), failure);
}

/** Appends what the model says; returns when it has said everything. */
async function askModel(
  deps: ProduceDeps,
  active: ActiveRun,
  { model, prompt }: { readonly model: string; readonly prompt: FeaturePrompt },
  progress: Progress,
): Promise<void> {
  const parts = deps.model.stream({
    model,
    messages: prompt.messages,
    ...(prompt.json === undefined ? {} : { json: prompt.json }),
    signal: active.signal,
    silenceMs: deps.timings.modelSilenceMs,
  });
  const text = createTextGatherer((gathered) =>
    append(deps, active, { type: "text", text: gathered }),
  );
  const deck = prompt.expectedSlides === null ? null : createDeckParser();
  try {
    for await (const part of parts) {
      if (part.type === "usage") {
        progress.inputTokens = part.inputTokens;
        progress.outputTokens = part.outputTokens;
      } else if (deck === null) {
        progress.characters += part.text.length;
        text.add(part.text);
        if (progress.characters > MAX_TEXT_LENGTH) active.stop("tooMuch");
      } else {
        for (const slide of deck.push(part.text)) {
          if (progress.slides >= prompt.maxSlides) continue;
          append(deps, active, { type: "slide", index: progress.slides, slide });
          progress.slides += 1;
        }
      }
    }
  } finally {
    text.flush();
  }
}

function append({ output }: ProduceDeps, { run }: ActiveRun, event: RunEvent): void {
  output.append(run.id, JSON.stringify(event));
}

/** Gathers small pieces of text; the first one goes out at once, so that a reader sees the answer begin. */
function createTextGatherer(emit: (text: string) => void) {
  let gathered = "";
  let timer: NodeJS.Timeout | undefined;
  let begun = false;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (gathered !== "") emit(gathered);
    gathered = "";
  };
  return {
    add(text: string) {
      if (text === "") return;
      gathered += text;
      if (!begun) flush();
      else timer ??= setTimeout(flush, GATHER_MS);
      begun = true;
    },
    flush,
  };
}

/** Renews the lease, hears of a stop asked for elsewhere, and ends a run that nobody reads or that takes too long. */
function watchOver(deps: ProduceDeps, active: ActiveRun, worth: () => number) {
  const { timings } = deps;
  const over = new AbortController();
  const tooLong = setTimeout(() => active.stop("tooLong"), timings.maxRunMs);
  tooLong.unref();
  const startedAtMs = Date.now();

  async function tick(): Promise<void> {
    const lease = {
      expiresAt: new Date(deps.now() + timings.leaseMs),
      producedCredits: worth(),
    };
    const state = await deps.store.renewLease(active.run.id, lease);
    if (state === "stopRequested") active.stop("stopped");
    // Taken for dead and ended by another instance: what is produced from now on is nobody's.
    if (state === "ended") active.stop("leaseLost");
    const readAt = await deps.output.lastReaderAt(active.run.id);
    // Undefined: Redis cannot say whether somebody reads on another instance, so somebody may.
    if (readAt !== undefined && Date.now() - (readAt ?? startedAtMs) > timings.readerGraceMs)
      active.stop("abandoned");
  }

  async function loop(): Promise<void> {
    while (!over.signal.aborted) {
      await sleep(timings.tickMs, undefined, { signal: over.signal, ref: false }).catch(() => {});
      if (over.signal.aborted) return;
      await tick().catch((error: unknown) => {
        deps.logger.warn(
          { err: error, runId: active.run.id },
          "a run's lease could not be renewed",
        );
      });
    }
  }
  void loop();
  return {
    end() {
      clearTimeout(tooLong);
      over.abort();
    },
  };
}

function chargeSoFar({ run }: ActiveRun, progress: Produced, prompt: FeaturePrompt): number {
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

function endingOf(
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

/** Settles and tells the readers, past a database that is briefly unavailable; then it is left to the reaper. */
async function endRun(
  deps: ProduceDeps,
  active: ActiveRun,
  ending: RunEnding,
  failure: unknown,
): Promise<void> {
  const { run } = active;
  logFailure(deps.logger, active, ending, failure);
  for (const pauseMs of [...END_PAUSES_MS, null]) {
    try {
      const ended = await deps.store.end(run, ending);
      append(deps, active, endEvent(ended));
      deps.output.finish(run.id, deps.timings.keepOutputMs / 1000);
      return;
    } catch (error) {
      if (pauseMs === null || !isAppError(error, "SERVICE_UNAVAILABLE")) {
        deps.logger.error({ err: error, runId: run.id }, "a run could not be settled yet");
        return;
      }
      await sleep(pauseMs);
    }
  }
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
