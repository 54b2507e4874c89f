// Pauses between attempts: exponential, bounded and random, so that callers that failed together do not return
// together.

/** How the largest pause grows with the number of attempts. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * Returns a pause with full jitter: anything from 0 to twice `firstMs` after the first attempt. The upper bound doubles
 * with each further attempt, up to `maxMs`.
 */
export function fullJitterMs(attempt: number, { firstMs, maxMs }: Backoff): number {
  return Math.random() * Math.min(maxMs, firstMs * 2 ** attempt);
}

/** Returns `ms` plus or minus up to a quarter, for what many instances do again and again. */
export function jitteredMs(ms: number, random = Math.random()): number {
  return ms * (0.75 + random / 2);
}
