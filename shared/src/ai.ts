// The contract of the `ai` procedures: metered runs of a model, and what they produce.
import { z } from "zod";
import type { ErrorCode } from "./errors.ts";
import { ERROR_CODES } from "./errors.ts";
import { feature } from "./features.ts";
import { credits, id, idempotencyKey, isoDate, text } from "./primitives.ts";
import { mutation, query, trackedSubscription } from "./procedure.ts";

/** Limits of a run's input; lengths in UTF-16 units, as JavaScript counts. */
export const AI_LIMITS = {
  messages: 50,
  conversationLength: 32_000,
  instructionLength: 4_000,
  slides: 30,
  deckBytes: 100_000,
} as const;

const NOT_BLANK = /\S/u;

/** Text a person wrote for a model: line breaks are allowed, blank text is not. */
function prompt(maxLength: number) {
  return text().min(1).max(maxLength).regex(NOT_BLANK, "Write something.");
}

/** One slide. */
export const slide = z.strictObject({
  title: text(),
  bullets: z.array(text()),
  notes: text().optional(),
});
/** One slide. */
export type Slide = z.infer<typeof slide>;

/** A slide deck of at most 30 slides and 100 kB of JSON. */
export const deck = z
  .strictObject({
    title: text().regex(NOT_BLANK, "Give the deck a title."),
    slides: z.array(slide).min(1).max(AI_LIMITS.slides),
  })
  .refine(
    (value) => new TextEncoder().encode(JSON.stringify(value)).length <= AI_LIMITS.deckBytes,
    {
      error: "A deck may hold 100 kB of JSON at most.",
    },
  );
/** A slide deck. */
export type Deck = z.infer<typeof deck>;

/** One turn of a conversation. */
export const chatMessage = z.strictObject({
  role: z.enum(["user", "assistant"]),
  content: prompt(AI_LIMITS.conversationLength),
});
/** One turn of a conversation. */
export type ChatMessage = z.infer<typeof chatMessage>;

const conversation = z
  .array(chatMessage)
  .min(1)
  .max(AI_LIMITS.messages)
  .refine(
    (messages) =>
      messages.reduce((length, { content }) => length + content.length, 0) <=
      AI_LIMITS.conversationLength,
    { error: "A conversation may hold 32,000 characters at most." },
  );

/** What `ai.start` takes, by feature. */
export const startInput = z.discriminatedUnion("feature", [
  z.strictObject({
    feature: z.literal("chat-flash"),
    messages: conversation,
    idempotencyKey,
  }),
  z.strictObject({
    feature: z.literal("chat-pro"),
    messages: conversation,
    idempotencyKey,
  }),
  z.strictObject({
    feature: z.literal("ppt-generate"),
    topic: prompt(AI_LIMITS.instructionLength),
    slideCount: z.int().min(1).max(AI_LIMITS.slides).default(8),
    idempotencyKey,
  }),
  z.strictObject({
    feature: z.literal("ppt-edit"),
    deck,
    instruction: prompt(AI_LIMITS.instructionLength),
    idempotencyKey,
  }),
]);

/** How a run ended. */
export const RUN_OUTCOMES = ["completed", "stopped", "failed"] as const;
/** One of RUN_OUTCOMES. */
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

const outcome = z.enum(RUN_OUTCOMES);
const errorCode = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]);

/** The events a run streams, in order; `end` is the last. `charged` and `balance` in credits. */
export const runEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("slide"), index: z.int().min(0), slide }),
  z.object({
    type: z.literal("end"),
    outcome,
    charged: credits,
    balance: credits,
    code: errorCode.optional(),
  }),
]);
/** One event of a run. */
export type RunEvent = z.infer<typeof runEvent>;

export const aiContract = {
  models: query({
    input: z.strictObject({}).optional(),
    output: z.object({ models: z.array(z.object({ feature, model: z.string() })) }),
  }),
  start: mutation({
    input: startInput,
    output: z.object({ runId: id, feature, heldCredits: credits, replayed: z.boolean() }),
  }),
  stream: trackedSubscription({
    input: z.strictObject({ runId: id, lastEventId: text().max(200).optional() }),
    output: runEvent,
  }),
  stop: mutation({
    input: z.strictObject({ runId: id }),
    output: z.object({ outcome, charged: credits, balance: credits }),
  }),
  run: query({
    input: z.strictObject({ runId: id }),
    output: z.object({
      runId: id,
      feature,
      state: z.enum(["running", ...RUN_OUTCOMES]),
      heldCredits: credits,
      /** 0 while it runs. */
      charged: credits,
      createdAt: isoDate,
      endedAt: isoDate.nullable(),
      code: errorCode.nullable(),
    }),
  }),
};
