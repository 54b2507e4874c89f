// Session state is cached without ever being older than the request that asks for it.
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSessionCache } from "../../../server/auth/session/session-cache.ts";
import type { SessionStatus } from "../../../server/auth/auth.types.ts";
import type { Cache } from "../../../server/kv/ports.ts";

const WANTED = { sessionId: "s1", userId: "u1" };
const sinceStartMs = performance.now.bind(performance);

afterEach(() => void vi.restoreAllMocks());

/** A table of sessions and a cache shared by two instances, with configurable latencies. */
function world(options: { cacheMs?: number; away?: boolean } = {}) {
  const table = new Map<string, SessionStatus>();
  const put = (sessionId: string, userId: string, ended = false) =>
    table.set(sessionId, {
      sessionId,
      userId,
      role: "USER",
      authVersion: 0,
      ended,
      replaced: false,
    });
  put("s1", "u1");
  const count = { reads: 0, rows: 0, gets: 0 };
  const clock = { aheadMs: 0 };
  vi.spyOn(performance, "now").mockImplementation(() => sinceStartMs() + clock.aheadMs);
  const values = new Map<string, string>();
  const state = { away: options.away ?? false };
  const wait = () => new Promise((resolve) => setTimeout(resolve, options.cacheMs ?? 1));
  const cache: Cache = {
    async get(key) {
      count.gets += 1;
      await wait();
      return state.away ? undefined : values.get(key);
    },
    async set(key, value) {
      await wait();
      if (!state.away) values.set(key, value);
      return !state.away;
    },
    async setIfAbsent(key, value) {
      await wait();
      if (state.away) return undefined;
      if (values.has(key)) return false;
      values.set(key, value);
      return true;
    },
    async delete(...keys) {
      await wait();
      if (!state.away) for (const key of keys) values.delete(key);
    },
  };
  const instance = (sharedCache: Cache | null = cache) =>
    createSessionCache({
      store: {
        async statuses(sessionIds) {
          count.reads += 1;
          count.rows += sessionIds.length;
          await wait();
          return new Map(
            sessionIds.flatMap((sessionId) => {
              const row = table.get(sessionId);
              return row === undefined ? [] : [[sessionId, { ...row }] as const];
            }),
          );
        },
      },
      sharedCache,
    });
  return { table, put, count, clock, values, state, instance };
}

describe("authority", () => {
  it("is read once and remembered", async () => {
    const { instance, count } = world();
    // Cached for a second, so the clock is frozen.
    vi.spyOn(performance, "now").mockReturnValue(sinceStartMs());
    const one = instance();
    for (let round = 0; round < 20; round++) expect((await one.get(WANTED))?.userId).toBe("u1");
    expect(count.reads).toBe(1);
  });

  it("changed on one instance is read again by the next request of the other", async () => {
    const { instance, put } = world();
    const [one, two] = [instance(), instance()];
    for (let round = 0; round < 20; round++) {
      put("s1", "u1", false);
      await one.invalidate();
      expect((await two.get(WANTED))?.ended).toBe(false);
      expect((await one.get(WANTED))?.ended).toBe(false);
      put("s1", "u1", true);
      await one.invalidate();
      expect((await two.get(WANTED))?.ended).toBe(true);
      expect((await one.get(WANTED))?.ended).toBe(true);
    }
  });

  it("is never older than the request, whatever was under way when it came", async () => {
    const { instance, put } = world({ cacheMs: 3 });
    const [one, two] = [instance(), instance()];
    await two.get(WANTED);
    // Constant readers, so that other reads are in flight at every moment.
    let running = true;
    const readers = Array.from({ length: 5 }, async () => {
      while (running) await two.get(WANTED);
    });
    for (let round = 0; round < 30; round++) {
      const ended = round % 2 === 0;
      put("s1", "u1", ended);
      await one.invalidate();
      expect((await two.get(WANTED))?.ended, `round ${round}`).toBe(ended);
    }
    running = false;
    await Promise.all(readers);
  });

  it("of a thousand requests at once costs a handful of reads", async () => {
    const { instance, put, count } = world();
    for (let index = 0; index < 100; index++) put(`s${index}`, `u${index}`);
    const one = instance();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) =>
        one.get({ sessionId: `s${index % 100}`, userId: `u${index % 100}` }),
      ),
    );
    for (const [index, answer] of answers.entries()) expect(answer?.userId).toBe(`u${index % 100}`);
    expect(count.reads).toBeLessThanOrEqual(3);
    expect(count.gets).toBeLessThanOrEqual(3);
  });

  it("without a shared cache is read for every request that begins", async () => {
    const { instance, put } = world();
    const alone = instance(null);
    expect((await alone.get(WANTED))?.ended).toBe(false);
    put("s1", "u1", true);
    expect((await alone.get(WANTED))?.ended).toBe(true);
  });

  it("with the cache away is the database's, and the cache is left in peace for a second", async () => {
    const { instance, put, count, state, clock } = world({ away: true });
    const one = instance();
    await one.get(WANTED);
    const { gets } = count;
    put("s1", "u1", true);
    expect((await one.get(WANTED))?.ended).toBe(true);
    expect(count.gets).toBe(gets);
    state.away = false;
    clock.aheadMs += 1_001;
    await one.get(WANTED);
    expect(count.gets).toBe(gets + 1);
  });

  it("is looked up again after a second even if nobody told of a change", async () => {
    const { instance, put, clock } = world();
    const one = instance();
    await one.get(WANTED);
    put("s1", "u1", true);
    expect((await one.get(WANTED))?.ended).toBe(false);
    clock.aheadMs += 1_001;
    expect((await one.get(WANTED))?.ended).toBe(true);
  });

  it("is nobody's for a session of another user, remembered or not", async () => {
    const { instance } = world();
    const one = instance();
    expect(await one.get({ sessionId: "s1", userId: "u2" })).toBeNull();
    await one.get(WANTED);
    expect(await one.get({ sessionId: "s1", userId: "u2" })).toBeNull();
    expect(await one.get({ sessionId: "nobody", userId: "u1" })).toBeNull();
  });

  it("is refused in time to whoever comes while a silent database keeps an earlier read waiting", async () => {
    vi.useFakeTimers();
    try {
      const silent = createSessionCache({
        store: { statuses: () => new Promise(() => {}) },
        sharedCache: null,
      });
      const refusedAfterMs = async () => {
        const startedAtMs = Date.now();
        await expect(silent.get(WANTED)).rejects.toMatchObject({ code: "SERVICE_UNAVAILABLE" });
        return Date.now() - startedAtMs;
      };
      const refusals: Promise<number>[] = [];
      for (let caller = 0; caller < 30; caller++) {
        refusals.push(refusedAfterMs());
        await vi.advanceTimersByTimeAsync(100);
      }
      await vi.advanceTimersByTimeAsync(3_000);
      for (const ms of await Promise.all(refusals)) expect(ms).toBeLessThan(2_700);
    } finally {
      vi.useRealTimers();
    }
  });
});
