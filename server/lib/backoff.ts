// Pauses between tries: exponential, bounded, and random, so that those who failed together do not return together.

/** The largest pause before the try after `attempt` (counted from 1), and how it grows. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Full jitter: anything from 0 to twice `firstMs` after the first try, doubled after each, `maxMs` at most. */
export function fullJitterMs(attempt: number, { firstMs, maxMs }: Backoff): number {
  return Math.random() * Math.min(maxMs, firstMs * 2 ** attempt);
}

/** `ms` a quarter more or less: for what is done again and again by many instances. */
export function jitteredMs(ms: number, random = Math.random()): number {
  return ms * (0.75 + random / 2);
}
