// The error of a refused or failed Stripe call: PAYMENT_PROVIDER_ERROR for callers, the kind of refusal for services.
import { AppError, isAppError } from "../../lib/errors.ts";
import type { RefusalKind } from "./port.ts";

/** What Stripe said, kept as the error's cause for the log. */
export interface StripeRefusal {
  readonly refusal: RefusalKind;
  readonly call: string;
  readonly detail: string;
  /** Null when there was no response. */
  readonly statusCode: number | null;
  readonly stripeCode: string | null;
  /** The request parameter Stripe complained about. */
  readonly param: string | null;
  readonly requestId: string | null;
  /** Whether Stripe replayed a response saved under the idempotency key. */
  readonly replayed: boolean;
  /** How many attempts this call made under this key. */
  readonly attempts: number;
}

const SENTENCES: Record<RefusalKind, string> = {
  unavailable: "The payment provider does not answer right now. Please try again in a moment.",
  forbidden: "The payment provider does not accept this server's key.",
  missing: "The payment provider does not know this object.",
  declined: "The payment was declined. Nothing has changed; please use another card.",
  keyReused: "The payment provider saw this request before with other details.",
  invalid: "The payment provider refused the request.",
};

/** Returns PAYMENT_PROVIDER_ERROR with the refusal as its cause. Stripe's own words appear only in the log. */
export function stripeError(refusal: StripeRefusal): AppError {
  return AppError.of(
    "PAYMENT_PROVIDER_ERROR",
    SENTENCES[refusal.refusal],
    undefined,
    Object.assign(new Error(`${refusal.call}: ${refusal.detail}`), refusal),
  );
}

/** Returns the refusal behind an error of the Stripe port; null for any other error. */
export function refusalOf(error: unknown): StripeRefusal | null {
  if (!isAppError(error, "PAYMENT_PROVIDER_ERROR")) return null;
  const { cause } = error;
  if (typeof cause !== "object" || cause === null || !("refusal" in cause)) return null;
  return cause as unknown as StripeRefusal;
}

/** Resolves to the answer, or to `none` when Stripe does not know the object. Rethrows every other error. */
export async function unlessMissing<T, None>(answer: Promise<T>, none: None): Promise<T | None> {
  try {
    return await answer;
  } catch (error) {
    if (!isRefusal(error, "missing")) throw error;
    return none;
  }
}

/** Whether an error of the Stripe port is a refusal of this kind. */
export function isRefusal(error: unknown, kind: RefusalKind): boolean {
  return refusalOf(error)?.refusal === kind;
}
