// The batch size limit, and the port that the rate-limit middleware calls. http/rate-limits.ts implements the port over
// the back end's limiter.

/** Most calls in one batch. A larger one is refused as a whole with BATCH_TOO_LARGE. */
export const MAX_BATCH_SIZE = 10;

/** The message of that refusal. */
export const BATCH_TOO_LARGE = `Send at most ${MAX_BATCH_SIZE} calls in one batch.`;

/** A tier of the catalog in http/rate-limits.ts. */
export type RateTier =
  | "anonymous"
  | "user"
  | "userRead"
  | "export"
  | "signIn"
  | "refresh"
  | "session"
  | "checkout"
  | "stripeRead"
  | "service";

/** A client's state in its window after a call was counted. */
export interface RateState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetSeconds: number;
}

/** Counts calls per client and tier. */
export interface RateLimits {
  /**
   * Counts one call. Throws RATE_LIMITED with `retryAfterSeconds`. `onState` is called for a refused call, too.
   * `client` is an address (IPv6 counts by /64), a user id, a session id or a service's name.
   */
  consume(tier: RateTier, client: string, onState: (state: RateState) => void): Promise<void>;
}

/** Counts one call and reports the client's state in the response headers. Throws RATE_LIMITED. */
export async function countCall(
  ctx: {
    limits: RateLimits;
    reply: { setRateState(state: RateState): void };
    request: { ip: string };
    notes: { refusedIp: string | null };
  },
  tier: RateTier,
  client: string,
): Promise<void> {
  try {
    await ctx.limits.consume(tier, client, (state) => ctx.reply.setRateState(state));
  } catch (error) {
    // The log must show where a flood comes from.
    ctx.notes.refusedIp = ctx.request.ip;
    throw error;
  }
}
