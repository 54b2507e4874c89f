// The catalog of rate limits by tier, and the RateLimits port over the back end's limiter.
import { LRUCache } from "lru-cache";
import type { Backend } from "../infrastructure.ts";
import type { Limiter } from "../kv/ports.ts";
import type { Config } from "../config/config.ts";
import { AppError, isAppError } from "../lib/errors.ts";
import type { Context } from "../trpc/context.ts";
import { countCall, type RateLimits, type RateTier } from "../trpc/limits.ts";
import { addressKey } from "./client-address.ts";

/** One line of the catalog. */
interface Tier {
  /** Calls per window, as a multiple of RATE_LIMIT_MAX_REQUESTS. */
  readonly share: number;
  /** Counted by address, one of IPv6 by its /64; the others by who is known to call: user, session or worker. */
  readonly byAddress?: true;
}

/**
 * Who may call how often within RATE_LIMIT_WINDOW_MS. The webhook (signed), /health, /ready and /metrics are exempt:
 * whoever calls them must not be locked out by a busy neighbour.
 */
export const RATE_LIMIT_TIERS: Readonly<Record<RateTier, Tier>> = {
  anonymous: { share: 1, byAddress: true },
  // What a signed-in user changes.
  user: { share: 1 },
  // What a signed-in user looks at. Apart from the writes, so that a busy page never costs its user a purchase.
  userRead: { share: 10 },
  // Everything stored about a person is a great deal of reading, and nobody needs it often.
  export: { share: 0.1 },
  // One sign-in is two requests (start and callback); a household or an office shares one address.
  signIn: { share: 1, byAddress: true },
  // Refreshes and logouts that show no token of ours.
  refresh: { share: 3, byAddress: true },
  // A refresh that shows a token of ours (a logout that does is not counted), and logging out everywhere: nobody else can
  // use up what is left of it.
  session: { share: 1 },
  // Opening a checkout costs calls to Stripe.
  checkout: { share: 0.25 },
  // Reads that call Stripe cost as much as a write, but a page that polls one must not cost its user a purchase.
  stripeRead: { share: 1 },
  // A worker calls on behalf of many users.
  service: { share: 100 },
};

/** Addresses remembered as refused, so that a flood costs neither Redis nor the database anything. */
const MAX_BLOCKED_CLIENTS = 50_000;

/**
 * RateLimits over the back end's limiter. A refused client is remembered in this process until its window ends.
 * Throws RATE_LIMITED `{retryAfterSeconds}`.
 */
export function createRateLimits(deps: {
  backend: Pick<Backend, "limiter">;
  config: Pick<Config, "rateLimit">;
  /** Called at each refusal, for the metrics. */
  onLimited: (tier: RateTier) => void;
}): RateLimits {
  const { windowMs, maxRequests } = deps.config.rateLimit;
  const limiters = Object.fromEntries(
    Object.entries(RATE_LIMIT_TIERS).map(([name, { share }]) => {
      const points = Math.max(1, Math.ceil(maxRequests * share));
      return [name, { limiter: deps.backend.limiter({ name, points, windowMs }), points }];
    }),
  ) as Record<RateTier, { limiter: Limiter; points: number }>;
  // By the clock that nobody sets: one that is set back would refuse a client for as long as it was set back by.
  const blockedUntilMs = new LRUCache<string, number>({ max: MAX_BLOCKED_CLIENTS });

  return {
    async consume(tier, client, onState) {
      const { limiter, points } = limiters[tier];
      const key = RATE_LIMIT_TIERS[tier].byAddress ? addressKey(client) : client;
      const blockKey = `${tier}:${key}`;
      const blockedMs = (blockedUntilMs.get(blockKey) ?? 0) - performance.now();
      const result =
        blockedMs > 0
          ? { allowed: false, remaining: 0, resetMs: blockedMs }
          : await limiter.consume(key);
      // In the process, the limiter itself counts by the wall clock.
      const resetMs = Math.min(result.resetMs, windowMs);
      const resetSeconds = Math.max(1, Math.ceil(resetMs / 1000));
      onState({ limit: points, remaining: Math.max(0, result.remaining), resetSeconds });
      if (result.allowed) return;
      deps.onLimited(tier);
      if (blockedMs <= 0) blockedUntilMs.set(blockKey, performance.now() + resetMs);
      throw AppError.of("RATE_LIMITED", "Too many requests. Please wait a moment.", {
        retryAfterSeconds: resetSeconds,
      });
    },
  };
}

/**
 * Counts a request that was refused before any procedure could count it (no JSON, too large, broken off). Returns what to
 * tell its client: the refusal, or RATE_LIMITED. What another site sent does not count, nor what is the server's own doing.
 */
export async function countRefused(ctx: Context, refused: unknown): Promise<unknown> {
  const uncounted =
    isAppError(refused) && (refused.code === "FORBIDDEN" || refused.code === "RATE_LIMITED");
  if (uncounted || (isAppError(refused) && refused.httpStatus >= 500)) return refused;
  try {
    await countCall(ctx, "anonymous", ctx.request.ip);
    return refused;
  } catch (limited) {
    return limited;
  }
}
