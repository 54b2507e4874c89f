// The contract of the `credit` procedures: balance, history, prices, spending.
import { z } from "zod";
import { feature } from "./features.ts";
import {
  credits,
  cursor,
  id,
  idempotencyKey,
  isoDate,
  limit,
  nothing,
  offset,
  text,
} from "./primitives.ts";
import { mutation, query, subscription } from "./procedure.ts";

/** Why an entry was written. */
export const ENTRY_TYPES = [
  "SIGNUP",
  "PURCHASE",
  "SUBSCRIPTION",
  "USAGE",
  "REFUND",
  "DISPUTE",
  "DISPUTE_REVERSAL",
  "EXPIRY",
  "ADMIN_ADJUST",
] as const;
export const entryType = z.enum(ENTRY_TYPES);
/** One of ENTRY_TYPES. */
export type EntryType = z.infer<typeof entryType>;

export const HOLD_STATES = ["ACTIVE", "SETTLED", "RELEASED", "EXPIRED"] as const;
/** One of HOLD_STATES. */
export type HoldState = (typeof HOLD_STATES)[number];

/** The caller's own notes: a JSON object. */
export type Metadata = Record<string, z.core.util.JSONType>;

const MAX_METADATA_DEPTH = 8;

const HALF_CHARACTER = /\p{Cs}/u;

/** Whether `value` contains prototype keys or halves of surrogate pairs anywhere, or is nested too deeply to check. */
function isHostile(value: unknown, depth = 0): boolean {
  if (typeof value === "string") return HALF_CHARACTER.test(value);
  if (typeof value !== "object" || value === null) return false;
  if (depth >= MAX_METADATA_DEPTH) return true;
  return Object.entries(Object.getOwnPropertyDescriptors(value)).some(
    ([key, { value: inner }]) =>
      ["__proto__", "constructor", "prototype"].includes(key) ||
      HALF_CHARACTER.test(key) ||
      isHostile(inner as unknown, depth + 1),
  );
}

/** At most 4 kB of the caller's own notes, kept with the entry. */
export const metadata = z
  // Checked before z.record, which would silently drop `__proto__`.
  .custom<Metadata>((value) => !isHostile(value), {
    error: `Metadata may not use prototype keys or halves of surrogate pairs, nor nest deeper than ${MAX_METADATA_DEPTH}.`,
  })
  .pipe(
    z
      .record(z.string().min(1).max(64), z.json())
      .refine((value) => new TextEncoder().encode(JSON.stringify(value)).length <= 4096, {
        error: "Metadata may hold 4 kB of JSON at most.",
      }),
  )
  .meta({ "x-typescript": "Metadata" });

/** The result of a spend; a replay with the same key returns it again with `replayed: true`. */
export const spendResult = z.object({
  transactionId: id,
  feature,
  charged: credits,
  balance: credits,
  priceVersion: z.string(),
  replayed: z.boolean(),
});

/** The current balance. `available` = credits - held. */
export const balanceChange = z.object({
  credits,
  held: credits,
  available: credits,
  seq: z.int(),
});

/** An entry of a credit history. */
export const historyLine = z.object({
  id,
  seq: z.int(),
  amount: credits,
  balance: credits,
  type: entryType,
  feature: z.string().nullable(),
  description: z.string().nullable(),
  createdAt: isoDate,
});

export const creditContract = {
  balance: query({
    input: nothing,
    output: z.object({
      credits,
      held: credits,
      available: credits,
      /** The lots with credits left, in the order they are spent; the first 200 of them. */
      grants: z.array(
        z.object({
          id,
          source: z.string(),
          remaining: credits,
          expiresAt: isoDate.nullable(),
        }),
      ),
    }),
  }),
  history: query({
    input: z.strictObject({ limit, offset, cursor, type: entryType.optional() }).prefault({}),
    output: z.object({
      logs: z.array(historyLine),
      total: z.int(),
      limit: z.int(),
      offset: z.int(),
      nextCursor: z.string().nullable(),
    }),
  }),
  costs: query({
    input: nothing,
    output: z.object({
      version: z.string(),
      features: z.array(z.object({ feature, credits })),
    }),
  }),
  spend: mutation({
    input: z.strictObject({
      feature,
      idempotencyKey,
      metadata: metadata.optional(),
    }),
    output: spendResult,
  }),
  usage: query({
    input: z
      .strictObject({
        /** A moment, or a date in `timeZone`: `from` means its beginning, `to` its end. */
        from: z.union([isoDate, z.iso.date()]).optional(),
        to: z.union([isoDate, z.iso.date()]).optional(),
        timeZone: text().min(1).max(64).default("UTC"),
      })
      .prefault({}),
    output: z.object({
      totalCredits: credits,
      byFeature: z.array(z.object({ feature: z.string(), credits, calls: z.int() })),
      daily: z.array(z.object({ date: z.iso.date(), credits })),
      runsOutOn: z.iso.date().nullable(),
    }),
  }),
  onChange: subscription({
    // A client reopens a broken stream with its last id, but every stream starts with the current balance anyway.
    input: z.strictObject({ lastEventId: text().max(200).nullish() }).optional(),
    output: balanceChange,
  }),
};
