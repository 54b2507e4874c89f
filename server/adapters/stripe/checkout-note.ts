// Our checkout as noted in its session's metadata: strings alone, as Stripe keeps them.
import type { CheckoutNote } from "../../payment/stripe/port.ts";

/** Returns the metadata for a new session. */
export function writeNote(note: CheckoutNote): Record<string, string> {
  return { ...note, credits: String(note.credits) };
}

/** Reads a session's metadata; null where a part is missing, as on sessions of others. */
export function readNote(metadata: Readonly<Record<string, unknown>> | null): CheckoutNote | null {
  if (metadata === null) return null;
  const part = (name: keyof CheckoutNote): string => {
    const value = Object.hasOwn(metadata, name) ? metadata[name] : undefined;
    return typeof value === "string" ? value : "";
  };
  const [checkoutId, userId, offerId] = [part("checkoutId"), part("userId"), part("offerId")];
  const kind = part("kind");
  const credits = Number(part("credits"));
  const isWhole = checkoutId !== "" && userId !== "" && offerId !== "";
  if (!isWhole || (kind !== "PACKAGE" && kind !== "PLAN")) return null;
  if (!Number.isInteger(credits) || credits <= 0) return null;
  return { checkoutId, userId, kind, offerId, credits };
}
