// Owns the catalogue of rate limits by tier, and the RateLimits port over the back end's limiter.
import { isIPv6 } from "node:net";
import { LRUCache } from "lru-cache";
import type { Backend } from "../infrastructure.ts";
import type { Limiter } from "../kv/ports.ts";
import type { Config } from "../config/config.ts";
import { AppError } from "../lib/errors.ts";
import type { RateLimits, RateTier } from "../trpc/limits.ts";

/** One line of the catalogue. */
interface Tier {
  /** Calls per window, as a multiple of RATE_LIMIT_MAX_REQUESTS. */
  readonly share: number;
  readonly counts: "address" | "user" | "service";
}

/**
 * Who may call how often within RATE_LIMIT_WINDOW_MS. The webhook (signed), /health, /ready and /metrics are exempt:
 * whoever calls them must not be locked out by a busy neighbour.
 */
export const RATE_LIMIT_TIERS: Readonly<Record<RateTier, Tier>> = {
  anonymous: { share: 1, counts: "address" },
  // What a signed-in user changes.
  user: { share: 1, counts: "user" },
  // What a signed-in user looks at. Apart from the writes, so that a busy page never costs its user a purchase.
  userRead: { share: 10, counts: "user" },
  // Everything stored about a person is a great deal of reading, and nobody needs it often.
  export: { share: 0.1, counts: "user" },
  // One sign-in is two requests (start and callback); a household or an office shares one address.
  signIn: { share: 1, counts: "address" },
  // Every tab and laptop of an office refreshes from one address, once per access token's life.
  refresh: { share: 3, counts: "address" },
  // Opening a checkout costs calls to Stripe.
  checkout: { share: 0.25, counts: "user" },
  // A worker calls on behalf of many users.
  service: { share: 100, counts: "service" },
};

/** Addresses remembered as refused, so that a flood costs neither Redis nor the database anything. */
const MAX_BLOCKED_CLIENTS = 50_000;

/** The key an address is counted under: IPv4 whole, IPv6 by /64, since one subscriber holds at least that much. */
export function addressKey(address: string): string {
  const plain = address.toLowerCase().replace(/%.*$/, "");
  const mapped = /^(?:::ffff:|0:0:0:0:0:ffff:)(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  if (mapped?.[1]) return mapped[1];
  if (!isIPv6(plain)) return plain;
  const [head = "", tail = ""] = plain.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  // A dotted IPv4 ending takes the room of two groups; it never reaches the first four.
  const missing = plain.includes("::") ? 8 - before.length - after.length : 0;
  const groups = [...before, ...Array<string>(Math.max(missing, 0)).fill("0"), ...after];
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/**
 * RateLimits over the back end's limiter. A refused client is remembered in this process until its window ends.
 * Throws RATE_LIMITED `{retryAfterSeconds}`.
 */
export function createRateLimits(deps: {
  backend: Pick<Backend, "limiter">;
  config: Pick<Config, "rateLimit">;
  now?: () => number;
}): RateLimits {
  const { windowMs, maxRequests } = deps.config.rateLimit;
  const now = deps.now ?? Date.now;
  const limiters = new Map<RateTier, { limiter: Limiter; points: number }>();
  for (const [tier, { share }] of Object.entries(RATE_LIMIT_TIERS) as [RateTier, Tier][]) {
    const points = Math.max(1, Math.ceil(maxRequests * share));
    limiters.set(tier, { limiter: deps.backend.limiter({ name: tier, points, windowMs }), points });
  }
  const blockedUntilMs = new LRUCache<string, number>({ max: MAX_BLOCKED_CLIENTS });

  return {
    async consume(tier, client, onState) {
      const entry = limiters.get(tier);
      if (!entry) throw AppError.of("INTERNAL", `No such rate-limit tier: ${tier}`);
      const key = RATE_LIMIT_TIERS[tier].counts === "address" ? addressKey(client) : client;
      const blockKey = `${tier}:${key}`;
      const blockedMs = (blockedUntilMs.get(blockKey) ?? 0) - now();
      const result =
        blockedMs > 0
          ? { allowed: false, remaining: 0, resetMs: blockedMs }
          : await entry.limiter.consume(key, 1);
      const resetSeconds = Math.max(1, Math.ceil(result.resetMs / 1000));
      const state = { limit: entry.points, remaining: Math.max(0, result.remaining), resetSeconds };
      onState?.(state);
      if (result.allowed) return state;
      if (blockedMs <= 0) blockedUntilMs.set(blockKey, now() + result.resetMs);
      throw AppError.of("RATE_LIMITED", "Too many requests. Please wait a moment.", {
        retryAfterSeconds: resetSeconds,
      });
    },
  };
}
