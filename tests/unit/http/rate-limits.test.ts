// A refused client is refused until its window ends, whatever happens to the wall clock meanwhile.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createRateLimits } from "../../../server/http/rate-limits.ts";
import { createMemoryLimiter } from "../../../server/kv/memory.ts";
import type { Limiter, LimiterRule } from "../../../server/kv/ports.ts";

const WINDOW_MS = 60_000;
const HOUR_MS = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Limits of one call per window; returns the error a call is refused with, or null. */
function openLimits(limiter: (rule: LimiterRule) => Limiter) {
  const config = { rateLimit: { windowMs: WINDOW_MS, maxRequests: 1 } };
  const limits = createRateLimits({ backend: { limiter }, config, onLimited: () => undefined });
  return () =>
    limits
      .consume("anonymous", "192.0.2.1", () => undefined)
      .then(
        () => null,
        (error: unknown) => error,
      );
}

it.each([
  ["before", true],
  ["after", false],
])(
  "lets a client in again a window later when the clock goes back %s the refusal",
  async (_when, isBefore) => {
    const consume = openLimits(createMemoryLimiter);
    expect(await consume()).toBeNull();
    if (isBefore) vi.setSystemTime(Date.now() - HOUR_MS);
    expect(await consume()).toMatchObject({
      code: "RATE_LIMITED",
      details: { retryAfterSeconds: 60 },
    });
    if (!isBefore) vi.setSystemTime(Date.now() - HOUR_MS);
    await vi.advanceTimersByTimeAsync(WINDOW_MS + 1);
    expect(await consume()).toBeNull();
  },
);
