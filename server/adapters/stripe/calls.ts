// How Stripe is called: time limits per attempt and per call, bounded retries with jitter, and what each failure means.
import { setTimeout as sleep } from "node:timers/promises";
import Stripe from "stripe";
import { isAppError } from "../../lib/errors.ts";
import { createScrub } from "../../lib/scrub.ts";
import { withTimeout } from "../../lib/timeout.ts";
import type { RefusalKind } from "../../payment/stripe/port.ts";
import { stripeError, type StripeRefusal } from "../../payment/stripe/errors.ts";

export const CALL_LIMITS = {
  attemptTimeoutMs: 8_000,
  deadlineMs: 20_000,
  maxAttempts: 4,
  baseDelayMs: 250,
};

/** The limits of one call. */
export type CallLimits = Readonly<typeof CALL_LIMITS>;

/** Returns the error for a response the API does not document: `{}` from a proxy, half a body, another object. */
export function malformed(what: string): Error {
  return new Error(`Malformed answer: ${what}`);
}

/** Stripe's error texts may repeat keys and card numbers, and end up in logs, on the command line and in rows. */
const scrub = createScrub();

interface Failure extends Omit<StripeRefusal, "call" | "attempts"> {
  readonly retry: boolean;
  readonly retryAfterMs: number | null;
}

/** Returns a Retry-After header, seconds or a date (RFC 9110, 10.2.3), in milliseconds; null when absent or invalid. */
export function retryAfterMs(header: unknown, nowMs: number): number | null {
  if (typeof header !== "string") return null;
  const seconds = Number(header);
  if (header.trim() !== "" && Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** The error codes the adapter acts on; a test checks them against the SDK's own list. */
export const STRIPE_CODES = { missing: "resource_missing" } as const;

function refusalKind(
  error: InstanceType<typeof Stripe.errors.StripeError>,
): [RefusalKind, boolean] {
  const { statusCode, code } = error;
  if (error instanceof Stripe.errors.StripeConnectionError) return ["unavailable", true];
  if (statusCode === 429 || statusCode === 409) return ["unavailable", true];
  if (statusCode === undefined || statusCode >= 500) return ["unavailable", true];
  // The key is wrong, expired or lacks a permission: this says nothing about the object asked for.
  if (statusCode === 401 || statusCode === 403) return ["forbidden", false];
  if (statusCode === 402) return ["declined", false];
  if (error instanceof Stripe.errors.StripeIdempotencyError) return ["keyReused", false];
  if (code === STRIPE_CODES.missing) return ["missing", false];
  // A 404 without that code is about the URL (a proxy, another API), not about the object.
  return [statusCode === 400 ? "invalid" : "unavailable", false];
}

function toFailure(error: unknown, nowMs: number): Failure {
  if (!(error instanceof Stripe.errors.StripeError)) {
    const detail = scrub(error instanceof Error ? error.message : "unknown failure");
    return {
      refusal: "unavailable",
      retry: true,
      replayed: false,
      retryAfterMs: null,
      detail,
      statusCode: null,
      stripeCode: null,
      param: null,
      requestId: null,
    };
  }
  const [refusal, retry] = refusalKind(error);
  const replayed = error.headers?.["idempotent-replayed"] === "true";
  return {
    refusal,
    // What Stripe has saved under this idempotency key is replayed for a day.
    retry: retry && !replayed,
    replayed,
    retryAfterMs: retryAfterMs(error.headers?.["retry-after"], nowMs),
    detail: scrub(`${error.type} ${error.statusCode ?? ""} ${error.message}`).slice(0, 500),
    statusCode: error.statusCode ?? null,
    stripeCode: error.code ?? null,
    param: error.param ?? null,
    requestId: error.requestId ?? null,
  };
}

/** What the SDK is given with each call. */
export interface CallOptions {
  timeout: number;
  maxNetworkRetries: 0;
}

/**
 * Runs one call and reads its response. The SDK's own retries are off: it never retries 429 and
 * accepts `{}` as a response.
 * Throws PAYMENT_PROVIDER_ERROR, never later than `deadlineMs`.
 */
export async function callStripe<T>(
  name: string,
  limits: CallLimits,
  run: (options: CallOptions) => Promise<unknown>,
  read: (answer: unknown) => T,
): Promise<T> {
  const startedAt = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    const leftMs = limits.deadlineMs - (performance.now() - startedAt);
    // An integer: stripe-node ignores a fractional timeout and uses its client's default instead.
    const timeout = Math.max(1, Math.ceil(Math.min(limits.attemptTimeoutMs, leftMs)));
    try {
      const answer = run({ timeout, maxNetworkRetries: 0 });
      const tooLate = () => new Error(`No answer within ${timeout} ms`);
      return read(await withTimeout(answer, timeout, tooLate));
    } catch (error) {
      if (isAppError(error)) throw error;
      const { retry, retryAfterMs: waitMs, ...refusal } = toFailure(error, Date.now());
      const backoffMs = limits.baseDelayMs * 2 ** (attempt - 1) * (0.5 + Math.random());
      const delayMs = Math.max(waitMs ?? 0, backoffMs);
      const spentMs = performance.now() - startedAt;
      if (!retry || attempt >= limits.maxAttempts || spentMs + delayMs >= limits.deadlineMs)
        throw stripeError({ ...refusal, call: name, attempts: attempt });
      await sleep(delayMs);
    }
  }
}
