// Streams leave nothing behind when they end: one object leaked per stream would eventually be a million.
import { randomUUID } from "node:crypto";
import { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { queryObjects } from "node:v8";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { available } from "../../support/backend.ts";
import { deferred } from "../../support/deferred.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

const RUNS = 20;
/** Counting objects walks the whole heap, which takes seconds on a busy machine. */
const LIMIT_MS = 240_000;
/** How many objects of one kind may be pending for other reasons. */
const TOLERATED = RUNS / 4;

/** Awaited by every call that is counted, before it is. */
let beforeCounting = async (): Promise<void> => undefined;

/** The back end, whose limiter can be made to wait as one over Redis does. */
const slowToCount: typeof available = {
  ...available,
  async open(logger) {
    const opened = await available.open(logger);
    const limiter: typeof opened.backend.limiter = (rule) => {
      const real = opened.backend.limiter(rule);
      return { consume: (key) => beforeCounting().then(() => real.consume(key)) };
    };
    return { ...opened, backend: { ...opened.backend, limiter } };
  },
};

describe("streams that are over", () => {
  const world = useTestApp({ available: slowToCount });

  /** Counts the requests and signals that are held after a full garbage collection. */
  const held = () => ({
    requests: queryObjects(IncomingMessage, { format: "count" }),
    signals: queryObjects(AbortSignal, { format: "count" }),
  });

  /** Waits until no more is held than `before`: it is up to V8 when finalizers run. */
  const forgotten = async (before: ReturnType<typeof held>) => {
    const left = () => {
      const now = held();
      return Math.max(now.requests - before.requests, now.signals - before.signals);
    };
    await expect.poll(left, { timeout: LIMIT_MS / 4, interval: 200 }).toBeLessThan(TOLERATED);
  };

  it.each([
    [
      "tRPC",
      (runId: string) =>
        `/api/trpc/ai.stream?input=${encodeURIComponent(JSON.stringify({ runId }))}`,
    ],
    ["REST", (runId: string) => `/api/ai/runs/${runId}/events`],
  ])(
    "are forgotten when they ended by themselves, over %s",
    { timeout: LIMIT_MS },
    async (_name, pathOf) => {
      const { control } = world.sandbox.model;
      control.reset();
      control.setSpeed(Number.POSITIVE_INFINITY);
      const { accessToken } = await world.person();
      const headers = { authorization: `Bearer ${accessToken}`, accept: "text/event-stream" };
      const readOne = async () => {
        const input = {
          feature: "chat-flash",
          messages: [{ role: "user", content: "Why is the sky blue?" }],
          idempotencyKey: randomUUID(),
        };
        const { data } = await world.call("ai.start", "mutation", input, headers);
        const { runId } = data as { runId: string };
        const answer = await fetch(world.url + pathOf(runId), { headers });
        expect(await answer.text()).toContain('"type":"end"');
      };
      await readOne();
      const before = held();
      for (let run = 0; run < RUNS; run += 1) await readOne();
      await forgotten(before);
    },
  );

  // Over REST the caller's signal belongs to the request and goes with it.
  it("are forgotten when they are refused, over tRPC", { timeout: LIMIT_MS }, async () => {
    const { accessToken, userId } = await world.person();
    const headers = { authorization: `Bearer ${accessToken}`, accept: "text/event-stream" };
    const refuseOne = async () => {
      const answer = await fetch(`${world.url}/api/trpc/credit.onChange`, { headers });
      expect(answer.status).toBe(429);
      await answer.text();
    };
    const open = Array.from({ length: 20 }, () =>
      world.credit.onChange(userId, new AbortController().signal),
    );
    await Promise.all(open.map((stream) => stream.next()));
    await refuseOne();
    const before = held();
    for (let run = 0; run < RUNS; run += 1) await refuseOne();
    await forgotten(before);
    await Promise.all(open.map((stream) => stream.return()));
  });

  it("are forgotten when their client leaves while their refusal is counted, over tRPC", {
    timeout: LIMIT_MS,
  }, async () => {
    onTestFinished(() => void (beforeCounting = async () => undefined));
    const leaveEarly = async () => {
      const [counting, counted] = [deferred(), deferred()];
      beforeCounting = () => {
        counting.resolve();
        return counted.promise;
      };
      const leave = new AbortController();
      const url = `${world.url}/api/trpc/credit.onChange?batch=1`;
      const answer = fetch(url, { signal: leave.signal }).catch(() => null);
      await counting.promise;
      leave.abort();
      await answer;
      // The server hears of it on its own socket.
      await sleep(50);
      counted.resolve();
      await sleep(10);
    };
    await leaveEarly();
    const before = held();
    for (let run = 0; run < RUNS; run += 1) await leaveEarly();
    await forgotten(before);
  });

  it("are forgotten when their client leaves before they begin, over REST", {
    timeout: LIMIT_MS,
  }, async () => {
    const { accessToken } = await world.person();
    const authenticate = vi.spyOn(world.app.services.auth, "authenticate");
    onTestFinished(() => authenticate.mockRestore());
    const principal = await world.app.services.auth.authenticate(accessToken);
    const leaveEarly = async () => {
      let answerIt = (): void => undefined;
      const asked = new Promise<void>((resolve) =>
        authenticate.mockImplementationOnce(async () => {
          resolve();
          await new Promise<void>((answer) => (answerIt = answer));
          return principal;
        }),
      );
      const leave = new AbortController();
      const headers = bearer(accessToken);
      const url = `${world.url}/api/user/credits/events`;
      const answer = fetch(url, { headers, signal: leave.signal }).catch(() => null);
      await asked;
      leave.abort();
      await answer;
      // The server learns of the disconnect on its own socket.
      await sleep(50);
      answerIt();
      await sleep(10);
    };
    await leaveEarly();
    const count = () => queryObjects(AbortController, { format: "count" });
    const before = count();
    for (let run = 0; run < RUNS; run += 1) await leaveEarly();
    await expect
      .poll(() => count() - before, { timeout: LIMIT_MS / 4, interval: 200 })
      .toBeLessThan(TOLERATED);
  });
});
