// The prompt of each feature.
import type { StartInput } from "./ai.types.ts";
import type { ModelMessage, ModelRequest } from "./ports.ts";

/** What a feature asks of the model, and how many slides make its output complete (null for text). */
export interface FeaturePrompt {
  readonly messages: readonly ModelMessage[];
  readonly json?: ModelRequest["json"];
  readonly expectedSlides: number | null;
  /** Slides beyond this many are dropped. */
  readonly maxSlides: number;
}

const CHAT_SYSTEM = "You are a helpful assistant. Answer in Markdown.";
const DECK_SYSTEM = [
  "You write slide decks. Answer with one JSON object and nothing else:",
  '{"title": string, "slides": [{"title": string, "bullets": [string, ...], "notes": string}, ...]}.',
  "Each slide has a short title, two to five bullets of one line, and speaker notes of a few sentences.",
].join(" ");

// Providers that can hold a model to a schema expect it without the bounds that only zod understands.
const DECK_SCHEMA = {
  name: "deck",
  schema: {
    type: "object",
    additionalProperties: false,
    required: ["title", "slides"],
    properties: {
      title: { type: "string" },
      slides: {
        type: "array",
        items: {
          type: "object",
          additionalProperties: false,
          required: ["title", "bullets", "notes"],
          properties: {
            title: { type: "string" },
            bullets: { type: "array", items: { type: "string" } },
            notes: { type: "string" },
          },
        },
      },
    },
  },
} as const;

/** Returns the prompt of a run. */
export function promptOf(input: StartInput): FeaturePrompt {
  switch (input.feature) {
    case "chat-flash":
    case "chat-pro":
      return {
        messages: [{ role: "system", content: CHAT_SYSTEM }, ...input.messages],
        expectedSlides: null,
        maxSlides: 0,
      };
    case "ppt-generate":
      return {
        messages: [
          { role: "system", content: DECK_SYSTEM },
          {
            role: "user",
            content: `Write a deck of exactly ${input.slideCount} slides about this topic:\n\n${input.topic}`,
          },
        ],
        json: DECK_SCHEMA,
        expectedSlides: input.slideCount,
        maxSlides: input.slideCount,
      };
    case "ppt-edit":
      return {
        messages: [
          { role: "system", content: DECK_SYSTEM },
          {
            role: "user",
            content: `Here is a deck:\n\n${JSON.stringify(input.deck)}\n\nChange it as follows and answer with the whole deck:\n\n${input.instruction}`,
          },
        ],
        json: DECK_SCHEMA,
        expectedSlides: input.deck.slides.length,
        maxSlides: 30,
      };
  }
}
