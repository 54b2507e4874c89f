// Owns the port the rate-limit middleware calls; http/limits.ts implements it over the back end's limiter.

/** A tier of the catalogue in http/rate-limits.ts. */
export type RateTier = "anonymous" | "user" | "signIn" | "refresh" | "checkout" | "service";

/** Counts calls per client and tier. */
export interface RateLimits {
  /** Counts one call; throws RATE_LIMITED with `retryAfterSeconds`. Answers the headers to send. */
  consume(
    tier: RateTier,
    client: string,
  ): Promise<{ limit: number; remaining: number; resetSeconds: number }>;
}
