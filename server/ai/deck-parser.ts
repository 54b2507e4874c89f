// Reads slides from a model's JSON while it is still being written: each as soon as its closing brace has arrived.
import { JSONParser } from "@streamparser/json";
import { type Slide, slide } from "../../shared/src/ai.ts";
import { AppError } from "../lib/errors.ts";
import { cutText } from "../lib/text.ts";

/** Most text that may precede the JSON. */
const MAX_PREFACE_LENGTH = 10_000;

/**
 * Returns a parser of `{"title": …, "slides": [{"title", "bullets", "notes"?}, …]}` that takes a model's text piece by
 * piece and skips text around the JSON.
 */
export function createDeckParser() {
  const parser = new JSONParser({ paths: ["$.slides.*"], keepStack: false });
  let found: Slide[] = [];
  let preface: string | null = "";
  let over = false;
  parser.onValue = ({ value }) => {
    found.push(toSlide(value));
  };
  parser.onEnd = () => {
    over = true;
  };
  parser.onError = (error) => {
    throw invalidDeck(error);
  };
  return {
    /** Whether the JSON is complete. */
    get isWhole(): boolean {
      return over;
    },
    /** Returns the slides completed by this piece. Throws AI_PROVIDER_ERROR if the text is not a deck. */
    push(text: string): Slide[] {
      if (over) return [];
      let json = text;
      if (preface !== null) {
        // Some models put a fence or a sentence before the JSON; the sentence may hold braces.
        preface += text;
        const start = /\{\s*"/.exec(preface);
        if (start === null && preface.length > MAX_PREFACE_LENGTH) throw invalidDeck();
        if (start === null) return [];
        json = preface.slice(start.index);
        preface = null;
      }
      try {
        parser.write(json);
      } catch (error) {
        // Once the JSON is complete, whatever the model adds after it is ignored.
        if (!over) throw invalidDeck(error);
      }
      const slides = found;
      found = [];
      return slides;
    },
  };
}

/** Fits a slide into the contract's bounds: text that is too long is cut, anything that is not a slide is refused. */
function toSlide(value: unknown): Slide {
  if (typeof value !== "object" || value === null) throw invalidDeck();
  const { title, bullets, notes } = value as Record<string, unknown>;
  const parsed = slide.safeParse({
    title: cut(title, 500),
    bullets: Array.isArray(bullets) ? bullets.slice(0, 30).map((one) => cut(one, 2_000)) : [],
    ...(typeof notes === "string" && notes !== "" ? { notes: cutText(notes, 10_000) } : {}),
  });
  if (!parsed.success) throw invalidDeck(parsed.error);
  return parsed.data;
}

function cut(value: unknown, maxLength: number): unknown {
  return typeof value === "string" ? cutText(value, maxLength) : value;
}

function invalidDeck(cause?: unknown): AppError {
  return AppError.of(
    "AI_PROVIDER_ERROR",
    "The model did not answer with slides. Please try again.",
    undefined,
    // Only the name, because the parser's message quotes what the model wrote.
    cause instanceof Error ? cause.name : undefined,
  );
}
