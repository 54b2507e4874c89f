// Producing one run: ask the model, append what it says, watch over the run meanwhile, and end it with its charge.
// Work on the model is apart from whoever reads it: readers come and go (read-run.ts).
import { setTimeout as sleep } from "node:timers/promises";
import { AI_LIMITS, type RunEvent } from "../../shared/src/ai.ts";
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { RunOutput } from "../kv/ports.ts";
import { AppError, isAppError } from "../lib/errors.ts";
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
/** JSON of one deck, slides that are dropped included: a model that does not stop is stopped. */
const MAX_DECK_TEXT_LENGTH = 500_000;
/** Room for the title of a deck within its 100 kB. */
const TITLE_BYTES = 2_000;
const END_RETRY_MS = 1_500;
const END_TRIES = 40;

/** What one run has produced so far. */
interface Progress extends TokenCounts {
  characters: number;
  slides: number;
  deckCharacters: number;
  /** JSON bytes of the slides sent. */
  deckBytes: number;
  inputTokens: number | null;
  outputTokens: number | null;
  /** Number of the last event appended. */
  lastSeq: number;
}

/** Runs the model to its end, or to the run's. Never rejects. */
export async function produceRun(
  deps: ProduceDeps,
  active: ActiveRun,
  request: { readonly model: string; readonly prompt: FeaturePrompt },
): Promise<void> {
  const progress: Progress = {
    characters: 0,
    slides: 0,
    deckCharacters: 0,
    deckBytes: 0,
    inputTokens: null,
    outputTokens: null,
    lastSeq: 0,
  };
  const watch = watchOver(deps, active, () => chargeSoFar(active, progress, request.prompt));
  let failure: unknown = null;
  try {
    await askModel(deps, active, request, { progress, watch });
  } catch (error) {
    failure = error;
  }
  // The lease is renewed until the run is settled: a database that is slow then must not hand it to the reaper.
  await endRun(deps, active, endingOf(active, progress, request, failure), failure);
  watch.end();
}

/** Appends what the model says; returns when it has said everything. */
async function askModel(
  deps: ProduceDeps,
  active: ActiveRun,
  { model, prompt }: { readonly model: string; readonly prompt: FeaturePrompt },
  { progress, watch }: { readonly progress: Progress; readonly watch: Watch },
): Promise<void> {
  const emit = (event: RunEvent) => {
    const isFirst = progress.lastSeq === 0;
    progress.lastSeq = append(deps, active, event);
    // What a reader has seen is written down at once: the process may die before the next renewal.
    if (isFirst || event.type === "slide") watch.note();
  };
  const write =
    prompt.expectedSlides === null
      ? textWriter(active, progress, emit)
      : deckWriter(prompt, progress, emit);
  const parts = deps.model.stream({
    model,
    messages: prompt.messages,
    ...(prompt.json === undefined ? {} : { json: prompt.json }),
    signal: active.signal,
    silenceMs: deps.timings.modelSilenceMs,
  });
  try {
    for await (const part of parts) {
      if (part.type === "text") write.push(part.text);
      else {
        progress.inputTokens = part.inputTokens;
        progress.outputTokens = part.outputTokens;
      }
    }
    write.complete();
  } finally {
    write.flush();
  }
}

/** Takes a model's text piece by piece and emits events. */
interface Writer {
  push(text: string): void;
  /** The model has said everything. Throws AI_PROVIDER_ERROR when something is missing. */
  complete(): void;
  flush(): void;
}

type Emit = (event: RunEvent) => void;

function textWriter(active: ActiveRun, progress: Progress, emit: Emit): Writer {
  const gatherer = createTextGatherer((text) => emit({ type: "text", text }));
  return {
    push(text) {
      const piece = text.slice(0, MAX_TEXT_LENGTH - progress.characters);
      progress.characters += piece.length;
      gatherer.add(piece);
      if (progress.characters >= MAX_TEXT_LENGTH) active.stop("tooMuch");
    },
    complete: () => undefined,
    flush: gatherer.flush,
  };
}

function deckWriter(prompt: FeaturePrompt, progress: Progress, emit: Emit): Writer {
  const deck = createDeckParser();
  return {
    push(text) {
      progress.deckCharacters += text.length;
      if (progress.deckCharacters > MAX_DECK_TEXT_LENGTH) throw incompleteDeck("too long");
      for (const slide of deck.push(text)) {
        if (progress.slides >= prompt.maxSlides) continue;
        progress.deckBytes += Buffer.byteLength(JSON.stringify(slide)) + 1;
        if (progress.deckBytes > AI_LIMITS.deckBytes - TITLE_BYTES)
          throw incompleteDeck("too long");
        emit({ type: "slide", index: progress.slides, slide });
        progress.slides += 1;
      }
    },
    complete() {
      const hasAll = prompt.expectedSlides !== null && progress.slides >= prompt.expectedSlides;
      if (!deck.isWhole && !hasAll) throw incompleteDeck("broken off");
    },
    flush: () => undefined,
  };
}

function incompleteDeck(reason: string): AppError {
  return AppError.of(
    "AI_PROVIDER_ERROR",
    "The model did not finish the slides. Please try again.",
    undefined,
    reason,
  );
}

/** Returns the number of the event. */
function append({ output }: ProduceDeps, { run }: ActiveRun, event: RunEvent): number {
  return output.append(run.id, JSON.stringify(event));
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
interface Watch {
  /** Something of worth was produced: it is written down now. */
  note(): void;
  end(): void;
}

function watchOver(deps: ProduceDeps, active: ActiveRun, worth: () => number): Watch {
  const { timings } = deps;
  const over = new AbortController();
  const tooLong = setTimeout(() => active.stop("tooLong"), timings.maxRunMs);
  tooLong.unref();
  let readerSeenAtMs = Date.now();
  let heardOfReader = false;

  async function tick(): Promise<void> {
    const lease = { leaseMs: timings.leaseMs, producedCredits: worth() };
    const state = await deps.store.renewLease(active.run.id, lease);
    if (state === "stopRequested") active.stop("stopped");
    // Taken for dead and ended by another instance: what is produced from now on is nobody's.
    if (state === "ended") active.stop("leaseLost");
    const readAt = await deps.output.lastReaderAt(active.run.id);
    // Undefined: Redis cannot say whether somebody reads on another instance, so somebody may. Null after a time: it was
    // emptied. Either way a reader has the whole grace to be heard of again.
    const isUnknown = readAt === undefined || (readAt === null && heardOfReader);
    heardOfReader = typeof readAt === "number";
    readerSeenAtMs = isUnknown ? Date.now() : Math.max(readerSeenAtMs, readAt ?? 0);
    if (Date.now() - readerSeenAtMs > timings.readerGraceMs) active.stop("abandoned");
  }

  function tickSafely(): Promise<void> {
    return tick().catch((error: unknown) => {
      const facts = { err: error, runId: active.run.id };
      deps.logger.warn(facts, "a run's lease could not be renewed");
    });
  }

  async function loop(): Promise<void> {
    while (!over.signal.aborted) {
      await sleep(timings.tickMs, undefined, { signal: over.signal, ref: false }).catch(() => {});
      if (over.signal.aborted) return;
      await tickSafely();
    }
  }
  void loop();
  return {
    note: () => void tickSafely(),
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

/** Settles and tells the readers, past a database that is briefly unavailable; then it is left to the reaper. */
async function endRun(
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
      append(deps, active, endEvent(ended));
      break;
    } catch (error) {
      const isFinal = tries === END_TRIES || !isAppError(error, "SERVICE_UNAVAILABLE");
      if (isFinal) {
        // Its hold and its readers are left to the reaper.
        deps.logger.error({ err: error, runId: run.id }, "a run could not be settled yet");
        break;
      }
      await sleep(END_RETRY_MS * (0.5 + Math.random()));
    }
  }
  deps.output.finish(run.id, deps.timings.keepOutputMs / 1000);
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
