// The client's sign-in: a refresh whose answer does not come, and clocks that are set.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createSession } from "../../../shared/src/session.ts";

const renewed = (accessToken: string) =>
  Response.json({ result: { data: { accessToken, expiresAt: "2027-01-31T00:00:00.000Z" } } });

/** A request that is not answered before its caller gives up. */
const unanswered = (signal: AbortSignal | null | undefined) =>
  new Promise<Response>((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(new Error("aborted")));
  });

/** A session whose first `lost` refreshes are not answered. */
function openSession(lost: number) {
  const askedAtMs: number[] = [];
  const session = createSession({
    url: "http://localhost/api/trpc",
    refreshToken: "first",
    fetch: (_url, init) => {
      askedAtMs.push(performance.now());
      if (askedAtMs.length <= lost) return unanswered(init?.signal);
      return Promise.resolve(renewed(`access ${askedAtMs.length}`));
    },
  });
  return { session, askedAtMs };
}

describe("a refresh", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is asked for again while a token whose successor got lost is still good", async () => {
    const { session, askedAtMs } = openSession(1);
    const renewing = session.renew(performance.now());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(askedAtMs).toHaveLength(2);
    // The server's grace (docs/decisions/0031).
    expect((askedAtMs[1] ?? 0) - (askedAtMs[0] ?? 0)).toBeLessThan(10_000);
    expect(await renewing).toBe("renewed");
    expect(await session.accessToken()).toBe("access 2");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that is never answered ends, and the next call asks anew", async () => {
    const { session, askedAtMs } = openSession(2);
    const renewing = session.renew(performance.now());
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await renewing).toBe("unavailable");
    expect(askedAtMs).toHaveLength(2);
    expect(await session.renew(performance.now())).toBe("renewed");
  });

  it("from before a refused call does not count for it, though the clock was set back", async () => {
    const { session, askedAtMs } = openSession(0);
    expect(await session.renew(performance.now())).toBe("renewed");
    await vi.advanceTimersByTimeAsync(900_000);
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(await session.renew(performance.now())).toBe("renewed");
    expect(askedAtMs).toHaveLength(2);
  });
});
