// The client's session: a refresh that is not answered, clocks that are set, and tabs that renew one cookie.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ClientSession, createSession } from "../../../shared/src/session.ts";
import { refreshInTurn } from "../../../shared/src/turns.ts";

const renewed = (accessToken: string) =>
  Response.json({ result: { data: { accessToken, expiresAt: "2027-01-31T00:00:00.000Z" } } });

const renew = (session: ClientSession) =>
  session.renew({ sinceMs: performance.now(), person: null });

/** A request that is not answered before its caller aborts it. */
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
    const renewing = renew(session);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(askedAtMs).toHaveLength(2);
    // Within the server's grace period (docs/decisions/0031).
    expect((askedAtMs[1] ?? 0) - (askedAtMs[0] ?? 0)).toBeLessThan(10_000);
    expect(await renewing).toBe("renewed");
    expect(await session.accessToken()).toBe("access 2");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that is never answered ends, and the next call asks anew", async () => {
    const { session, askedAtMs } = openSession(2);
    const renewing = renew(session);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await renewing).toBe("unavailable");
    expect(askedAtMs).toHaveLength(2);
    expect(await renew(session)).toBe("renewed");
  });

  it("that was under way when its page signed out signs nobody in", async () => {
    const taken: string[] = [];
    let answer = (): void => undefined;
    const session = createSession({
      url: "http://localhost/api/trpc",
      refreshToken: "first",
      onAccessToken: (token) => taken.push(token),
      fetch: () => new Promise((resolve) => (answer = () => resolve(renewed("access")))),
    });
    const renewing = renew(session);
    session.forget();
    answer();
    expect(await renewing).toBe("refused");
    expect(await session.accessToken()).toBeNull();
    expect(taken).toEqual([]);
  });

  it("that is answered by somebody else's JSON has renewed nothing", async () => {
    const session = createSession({
      url: "http://localhost/api/trpc",
      refreshToken: "first",
      fetch: () => Promise.resolve(Response.json({ status: "ok" })),
    });
    expect(await renew(session)).toBe("unavailable");
  });

  it("from before a refused call does not count for it, though the clock was set back", async () => {
    const { session, askedAtMs } = openSession(0);
    expect(await renew(session)).toBe("renewed");
    await vi.advanceTimersByTimeAsync(900_000);
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(await renew(session)).toBe("renewed");
    expect(askedAtMs).toHaveLength(2);
  });
});

/** The locks shared by a browser's tabs: requests are granted in order. */
function sharedLocks() {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async request<T>(_name: string, { signal }: { signal: AbortSignal }, work: () => Promise<T>) {
      const before = last;
      let release = (): void => undefined;
      last = new Promise<void>((resolve) => (release = resolve));
      const givenUp = new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      });
      try {
        await Promise.race([before, givenUp]);
        return await work();
      } finally {
        void before.then(release);
      }
    },
  };
}

describe("tabs of one browser", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  const locks = () => {
    const shared = sharedLocks();
    vi.stubGlobal("navigator", { locks: shared });
    return shared;
  };
  const hang = () => new Promise<never>(() => undefined);
  const oneSecond = () => new Promise((resolve) => setTimeout(resolve, 1_000));

  it("renew their cookie one after another, so that no answer is overtaken", async () => {
    locks();
    const inFlight = { now: 0, most: 0, all: 0 };
    const openTab = () =>
      createSession({
        url: "http://localhost/api/trpc",
        cookies: true,
        fetch: async () => {
          inFlight.now += 1;
          inFlight.most = Math.max(inFlight.most, inFlight.now);
          await oneSecond();
          inFlight.now -= 1;
          inFlight.all += 1;
          return renewed(`access ${inFlight.all}`);
        },
      });
    const tabs = [openTab(), openTab()];
    const renewals = tabs.flatMap((tab) => [renew(tab), renew(tab)]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await Promise.all(renewals)).toEqual(renewals.map(() => "renewed"));
    expect(await Promise.all(tabs.map((tab) => tab.accessToken()))).toEqual([
      "access 1",
      "access 2",
    ]);
    expect(inFlight).toEqual({ now: 0, most: 1, all: 2 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("do not wait for ever for one that hangs", async () => {
    void locks().request("any", { signal: new AbortController().signal }, hang);
    const tab = createSession({
      url: "http://localhost/api/trpc",
      cookies: true,
      fetch: () => Promise.resolve(renewed("access")),
    });
    const renewal = renew(tab);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await tab.accessToken()).toBeNull();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await renewal).toBe("renewed");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("hold up nobody for longer than one renewal takes", async () => {
    locks();
    let answer = (_what: string): void => undefined;
    const hanging = refreshInTurn(() => new Promise<string>((resolve) => (answer = resolve)));
    const startedAtMs = performance.now();
    const begunAtMs: number[] = [];
    const tabs = [1, 2, 3].map(() =>
      refreshInTurn(() => {
        begunAtMs.push(performance.now() - startedAtMs);
        return Promise.resolve();
      }),
    );
    await vi.advanceTimersByTimeAsync(16_100);
    await Promise.all(tabs);
    // Later ones do not have to wait at all.
    await refreshInTurn(() => Promise.resolve());
    expect(Math.max(...begunAtMs)).toBeLessThan(16_100);
    expect(performance.now() - startedAtMs).toBeLessThan(16_200);
    answer("late");
    expect(await hanging).toBe("late");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("are told what became of their own work, once", async () => {
    locks();
    const work = vi.fn(() => Promise.reject(new Error("refused")));
    await expect(refreshInTurn(work)).rejects.toThrow("refused");
    expect(work).toHaveBeenCalledTimes(1);
    expect(await refreshInTurn(() => Promise.resolve("mine"))).toBe("mine");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("renew at once where a page may hold no lock, and where it has a token of its own", async () => {
    const request = vi.fn(() => Promise.reject(new Error("SecurityError")));
    vi.stubGlobal("navigator", { locks: { request } });
    const fetch = () => Promise.resolve(renewed("access"));
    const url = "http://localhost/api/trpc";
    expect(await renew(createSession({ url, cookies: true, fetch }))).toBe("renewed");
    expect(request).toHaveBeenCalledTimes(1);
    expect(await renew(createSession({ url, refreshToken: "own", fetch }))).toBe("renewed");
    expect(request).toHaveBeenCalledTimes(1);
  });
});
