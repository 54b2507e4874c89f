// Turns the model's text into a run's events: pieces of text for a chat, whole slides for a deck. Both are bounded.
import { AI_LIMITS, type RunEvent } from "../../shared/src/ai.ts";
import { AppError } from "../lib/errors.ts";
import type { ActiveRun } from "./active-runs.ts";
import type { Progress } from "./ai.types.ts";
import { createDeckParser } from "./deck-parser.ts";
import type { FeaturePrompt } from "./prompts.ts";

/** The text of one run is cut here, so that what a reader has to replay stays bounded. */
const MAX_TEXT_LENGTH = 200_000;
/** Text that arrives within this time goes out as one event. */
const GATHER_MS = 30;
/** Most JSON of one deck, including slides that are dropped. Stops a model that does not stop on its own. */
const MAX_DECK_TEXT_LENGTH = 500_000;
/** Reserved for the title of a deck within its 100 kB. */
const TITLE_BYTES = 2_000;

/** Takes a model's text piece by piece and emits events. */
interface Writer {
  push(text: string): void;
  /** Call once the model has finished. Throws AI_PROVIDER_ERROR if something is missing. */
  complete(): void;
  flush(): void;
}

type Emit = (event: RunEvent) => void;

/** Emits text, gathered for GATHER_MS per event. Stops the run once the answer has the maximum length. */
export function textWriter(active: ActiveRun, progress: Progress, emit: Emit): Writer {
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

/** Emits each slide as soon as it is complete. Throws AI_PROVIDER_ERROR for a deck that breaks off or is too long. */
export function deckWriter(prompt: FeaturePrompt, progress: Progress, emit: Emit): Writer {
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
        // Count first, because emitting records what the slides so far are worth.
        progress.slides += 1;
        emit({ type: "slide", index: progress.slides - 1, slide });
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

/** Gathers small pieces of text. The first one goes out immediately, so that a reader sees the answer begin. */
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
