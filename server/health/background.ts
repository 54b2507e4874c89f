// Checks that are slow or go to other servers run in the background; callers get the last result at once.
import { withTimeout } from "../lib/timeout.ts";

/** How often to look. */
export interface BackgroundRule {
  readonly everyMs: number;
  /** While the last look found something wrong. */
  readonly everyMsWhileBad: number;
  readonly timeoutMs: number;
}

/**
 * A look in the background: each question answers what was found last (null before the first), and starts the next look
 * when that is older than the rule says. Never two at once; one that fails or takes too long leaves things as they were.
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
      // What could not be looked at is not known to have changed.
    } finally {
      lookedAtMs = performance.now();
      isLooking = false;
    }
  }

  return () => {
    const everyMs = found !== null && isBad(found) ? rule.everyMsWhileBad : rule.everyMs;
    if (!isLooking && performance.now() - lookedAtMs >= everyMs) void lookOnce();
    return found;
  };
}
