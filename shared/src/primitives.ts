// The small schemas every contract file is built from: ids, money, credits, dates, pages.
import { z } from "zod";

/** The input of a procedure that takes none. `undefined` and `{}` are equivalent for a caller. */
export const nothing = z.strictObject({}).optional();

/** The output of a procedure that returns nothing. */
export const empty = z.object({});

/**
 * Any text. Half of a surrogate pair is not a character: databases, hashes and other languages each treat it
 * differently, so it is refused in all text from callers.
 */
export function text() {
  return z.string().regex(/^\P{Cs}*$/u, "Use whole Unicode characters.");
}

/** An id made by this server. Bounded so that a forged one cannot cost an index scan. */
export const id = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, "Use the id as the server gave it.");

/** An id made by Stripe (`cs_…`, `evt_…`). */
export const stripeId = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[A-Za-z0-9_]+$/, "Use the id as Stripe gave it.");

/** A moment: ISO 8601, UTC. */
export const isoDate = z.iso.datetime();

/** ISO 4217, lower case, as Stripe writes it. */
export const currency = z.string().length(3);

/** Money in minor units (cents). */
export const minorUnits = z.int();

/** Whole credits; negative only as a balance in debt or in an entry that takes credits. */
export const credits = z.int();

/** The credits a caller may move in one request: 1..1,000,000,000. */
export const positiveCredits = z.int().min(1).max(1_000_000_000);

/**
 * A key the caller invents for one action and repeats on retry.
 * 1..200 printable ASCII characters, so that it compares the same in every database collation.
 */
export const idempotencyKey = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[\x21-\x7e]+$/, "Use 1 to 200 printable ASCII characters without spaces.");

/** Page size: defaults to 50, at most 100. */
export const limit = z.int().min(1).max(100).default(50);

/** How many rows to skip. */
export const offset = z.int().min(0).max(1_000_000_000).optional();

/** An opaque position in a list, as returned in `nextCursor`. */
export const cursor = text().min(1).max(200).optional();

/** Text a person wrote, without control characters. */
export function plainText(maxLength: number) {
  return text()
    .trim()
    .min(1)
    .max(maxLength)
    .regex(/^[^\p{Cc}]*$/u, "Control characters are not allowed.");
}
