// Writes to Stripe: an idempotency key each, and what to do when Stripe has saved a failure under that key.
import { refusalOf } from "../../payment/stripe/errors.ts";
import { type CallLimits, type CallOptions, callStripe } from "./calls.ts";

/** One write. */
export interface Write<T> {
  readonly name: string;
  /** Derived from our own row, so that every instance and every repetition uses the same one. */
  readonly key: string;
  run(options: CallOptions & { idempotencyKey: string }): Promise<unknown>;
  read(answer: unknown): T;
  /** Finds out whether the write happened although its answer was a failure; null when it did not. */
  find(): Promise<T | null>;
  /** Does so as well when the key was used with other details. */
  readonly findOnReuse?: boolean;
}

/** Keys one write may use up within the day for which Stripe remembers them. */
const MAX_KEYS = 40;
/** Keys one call may use up: in an outage each click must not burn them all. */
const MAX_BURNT = 2;

/** The n-th key of a write. All instances walk them in this order, so that all agree on the one being tried. */
function nthKey(key: string, n: number): string {
  return n === 0 ? key : `${key}:again:${n}`;
}

/**
 * Does a write once. Stripe replays the first answer of a key for 24 hours, failures included. After a replayed 5xx
 * (nobody knows whether it took effect) `find` looks for the object; if it is not there, or the replayed failure was a
 * refusal, the write goes on under the next key. Throws PAYMENT_PROVIDER_ERROR within `limits.deadlineMs`, and a look.
 */
export async function writeStripe<T>(limits: CallLimits, write: Write<T>): Promise<T> {
  const endsAt = performance.now() + limits.deadlineMs;
  let burnt = 0;
  for (let n = 0; ; n += 1) {
    const idempotencyKey = nthKey(write.key, n);
    try {
      return await callStripe(
        write.name,
        { ...limits, deadlineMs: Math.max(1, endsAt - performance.now()) },
        (options) => write.run({ ...options, idempotencyKey }),
        write.read,
      );
    } catch (error) {
      const refusal = refusalOf(error);
      const isReuse = refusal?.refusal === "keyReused" && write.findOnReuse === true;
      if (refusal === null || !(refusal.replayed || isReuse)) throw error;
      if (isReuse || refusal.refusal === "unavailable") {
        const found = await write.find();
        if (found !== null) return found;
      }
      // The failure was saved during this very call, not before it.
      if (refusal.attempts > 1) burnt += 1;
      if (isReuse || burnt >= MAX_BURNT || n + 1 >= MAX_KEYS || performance.now() >= endsAt)
        throw error;
    }
  }
}
