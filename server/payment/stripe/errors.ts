// The error of a refused or failed Stripe call: PAYMENT_PROVIDER_ERROR for the caller, the kind of refusal for the services.
import { AppError, isAppError } from "../../lib/errors.ts";
import type { RefusalKind } from "./port.ts";

/** What Stripe said, kept as the error's cause for the log. */
export interface StripeRefusal {
  readonly refusal: RefusalKind;
  readonly call: string;
  readonly detail: string;
  /** Null when there was no answer. */
  readonly statusCode: number | null;
  readonly stripeCode: string | null;
  /** The request parameter Stripe complained about. */
  readonly param: string | null;
  readonly requestId: string | null;
  /** Stripe repeated an answer saved under the idempotency key. */
  readonly replayed: boolean;
  /** How often it was asked under this key in this call. */
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

/** PAYMENT_PROVIDER_ERROR with its refusal as cause. Stripe's own words stay in the log. */
export function stripeError(refusal: StripeRefusal): AppError {
  return AppError.of(
    "PAYMENT_PROVIDER_ERROR",
    SENTENCES[refusal.refusal],
    undefined,
    Object.assign(new Error(`${refusal.call}: ${refusal.detail}`), refusal),
  );
}

/** The refusal behind an error of the Stripe port; null for any other error. */
export function refusalOf(error: unknown): StripeRefusal | null {
  if (!isAppError(error, "PAYMENT_PROVIDER_ERROR")) return null;
  const { cause } = error;
  if (typeof cause !== "object" || cause === null || !("refusal" in cause)) return null;
  return cause as unknown as StripeRefusal;
}

/** The answer, or `none` when Stripe does not know the object. Throws every other error on: only missing means none. */
export async function unlessMissing<T, None>(answer: Promise<T>, none: None): Promise<T | None> {
  try {
    return await answer;
  } catch (error) {
    if (!isRefusal(error, "missing")) throw error;
    return none;
  }
}

/** Whether an error of the Stripe port is of this kind. */
export function isRefusal(error: unknown, kind: RefusalKind): boolean {
  return refusalOf(error)?.refusal === kind;
}
