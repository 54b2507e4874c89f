// Produces one run: asks the model, appends what it says, and ends the run with its charge.
// Producing is independent of readers, which come and go (read-run.ts).
import type { RunEvent } from "../../shared/src/ai.ts";
import type { ActiveRun } from "./active-runs.ts";
import type { Progress } from "./ai.types.ts";
import { chargeSoFar, endingOf, endRun } from "./end-run.ts";
import type { ProduceDeps } from "./ports.ts";
import type { FeaturePrompt } from "./prompts.ts";
import { deckWriter, textWriter } from "./run-writers.ts";
import { type Watch, watchRun } from "./watch-run.ts";

/** Runs the model until it is done or the run is stopped, then ends the run. Never rejects. */
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
  const watch = watchRun(deps, active, () => chargeSoFar(active, progress, request.prompt));
  let failure: unknown = null;
  try {
    await askModel(deps, active, request, { progress, watch });
  } catch (error) {
    failure = error;
  }
  // The lease is renewed until the run is settled, so that a slow database does not make the run look abandoned.
  await endRun(deps, active, endingOf(active, progress, request, failure), failure);
  watch.end();
}

/** Appends what the model says. Resolves once the model has finished. */
async function askModel(
  deps: ProduceDeps,
  active: ActiveRun,
  { model, prompt }: { readonly model: string; readonly prompt: FeaturePrompt },
  { progress, watch }: { readonly progress: Progress; readonly watch: Watch },
): Promise<void> {
  const emit = (event: RunEvent) => {
    const isFirst = progress.lastSeq === 0;
    progress.lastSeq = deps.output.append(active.run.id, JSON.stringify(event));
    // Record immediately what a reader may see, because the process could die before the next renewal.
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
