// Slow checks, and those that call other servers, run in the background; callers get the last result immediately.
import { withTimeout } from "../lib/timeout.ts";

/** How often to check. */
export interface BackgroundRule {
  readonly everyMs: number;
  /** Used while the last check found something wrong. */
  readonly everyMsWhenFailing: number;
  readonly timeoutMs: number;
}

/**
 * Returns a function that returns the last result of `look` (null before the first one), and starts the next check in
 * the background when that result is older than the rule allows. Checks never overlap; one that fails or takes too long
 * leaves the last result in place.
 */
export function inBackground<T>(
  look: () => Promise<T>,
  isBad: (found: T) => boolean,
  rule: BackgroundRule,
): () => T | null {
  let found: T | null = null;
  let isLooking = false;
  let lookedAtMs = Number.NEGATIVE_INFINITY;

  async function lookOnce(): Promise<void> {
    isLooking = true;
    try {
      found = await withTimeout(look(), rule.timeoutMs, () => new Error("It took too long."));
    } catch {
      // A failed check does not mean that anything has changed.
    } finally {
      lookedAtMs = performance.now();
      isLooking = false;
    }
  }

  return () => {
    const everyMs = found !== null && isBad(found) ? rule.everyMsWhenFailing : rule.everyMs;
    if (!isLooking && performance.now() - lookedAtMs >= everyMs) void lookOnce();
    return found;
  };
}
