// Writes to Stripe: each with an idempotency key, and what to do when Stripe has saved a failure under that key.
import { refusalOf } from "../../payment/stripe/errors.ts";
import { type CallLimits, type CallOptions, callStripe } from "./calls.ts";

/** One write. */
export interface Write<T> {
  readonly name: string;
  /** Derived from our own row, so that every instance and every retry uses the same one. */
  readonly key: string;
  run(options: CallOptions & { idempotencyKey: string }): Promise<unknown>;
  read(answer: unknown): T;
  /** Resolves to the object if the write took effect although its response was a failure; otherwise to null. */
  find(): Promise<T | null>;
  /** Whether to call `find` also when the key was used with other parameters. */
  readonly findOnReuse?: boolean;
}

/** Keys one write may use up within the day for which Stripe remembers them. */
const MAX_KEYS = 40;
/** Keys one call may use up: during an outage, a single click must not burn them all. */
const MAX_BURNT = 2;

/** The n-th key of a write. All instances try them in this order, so that they agree on the current one. */
function nthKey(key: string, n: number): string {
  return n === 0 ? key : `${key}:again:${n}`;
}

/**
 * Performs a write once. Stripe replays the first response to a key for 24 hours, failures included. After a replayed
 * 5xx, which may or may not have taken effect, `find` looks for the object. If it is not there, or if the replayed
 * failure was a refusal, the write continues under the next key. Throws PAYMENT_PROVIDER_ERROR within
 * `limits.deadlineMs`, plus one `find`.
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
      // The failure was saved during this call, not before it.
      if (refusal.attempts > 1) burnt += 1;
      if (isReuse || burnt >= MAX_BURNT || n + 1 >= MAX_KEYS || performance.now() >= endsAt)
        throw error;
    }
  }
}
