// The catalog of rate limits by tier, and the RateLimits port over the back end's limiter.
import { LRUCache } from "lru-cache";
import type { Backend } from "../infrastructure.ts";
import type { Limiter } from "../kv/ports.ts";
import type { Config } from "../config/config.ts";
import { AppError, isAppError } from "../lib/errors.ts";
import type { Context } from "../trpc/context.ts";
import { countCall, type RateLimits, type RateTier } from "../trpc/limits.ts";
import { addressKey } from "./client-address.ts";

/** One entry of the catalog. */
interface Tier {
  /** Calls per window, as a multiple of RATE_LIMIT_MAX_REQUESTS. */
  readonly share: number;
  /** Counted by address (IPv6 by /64). Other tiers are counted by the known caller: user, session or worker. */
  readonly byAddress?: true;
}

/**
 * How often each kind of caller may call within RATE_LIMIT_WINDOW_MS. The webhook (signed), /health, /ready and
 * /metrics are exempt, so that their callers are not locked out by a busy client at the same address.
 */
export const RATE_LIMIT_TIERS: Readonly<Record<RateTier, Tier>> = {
  anonymous: { share: 1, byAddress: true },
  // Writes of a signed-in user.
  user: { share: 1 },
  // Reads of a signed-in user. Separate from the writes, so that a busy page never costs its user a purchase.
  userRead: { share: 10 },
  // Exporting everything stored about a person reads a great deal, and no user needs it often.
  export: { share: 0.1 },
  // One sign-in is two requests (start and callback); a household or an office shares one address.
  signIn: { share: 1, byAddress: true },
  // Refreshes and logouts without a token of ours.
  refresh: { share: 3, byAddress: true },
  // Refreshes with a token of ours (such logouts are not counted), and logging out everywhere. No other client can use
  // this allowance up.
  session: { share: 1 },
  // Opening a checkout costs calls to Stripe.
  checkout: { share: 0.25 },
  // Reads that call Stripe cost as much as a write, but a page that polls one must not cost its user a purchase.
  stripeRead: { share: 1 },
  // A worker calls on behalf of many users.
  service: { share: 100 },
};

/** Clients remembered as refused, so that a flood costs neither Redis nor the database anything. */
const MAX_BLOCKED_CLIENTS = 50_000;

/**
 * Creates the RateLimits port over the back end's limiter. A refused client is remembered in this process until its
 * window ends. `consume` throws RATE_LIMITED `{retryAfterSeconds}`.
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
  // On the monotonic clock: if a wall clock were set back, a client would be refused for that much longer.
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
      // The in-process limiter counts by the wall clock, which may be set back.
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
 * Counts a request refused before any procedure could count it (not JSON, too large, broken off). Returns the error to
 * respond with: the refusal, or RATE_LIMITED. Cross-site requests, requests already refused as RATE_LIMITED and the
 * server's own failures do not count.
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
