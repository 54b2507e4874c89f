// Our checkout as noted in its session's metadata, where Stripe stores only strings.
import { z } from "zod";
import type { CheckoutNote } from "../../payment/stripe/port.ts";

const storedNote = z.object({
  checkoutId: z.string().min(1),
  userId: z.string().min(1),
  kind: z.enum(["PACKAGE", "PLAN"]),
  offerId: z.string().min(1),
  credits: z.string().transform(Number).pipe(z.int().positive()),
});

/** Returns the metadata for a new session. */
export function writeNote(note: CheckoutNote): Record<string, string> {
  return { ...note, credits: String(note.credits) };
}

/** Returns the note in a session's metadata; null when a part is missing, as on sessions that are not ours. */
export function readNote(metadata: Readonly<Record<string, unknown>> | null): CheckoutNote | null {
  return storedNote.safeParse(metadata).data ?? null;
}
