// Server-sent events over fetch: where they resume after a lost connection, missing answers, the effects of closing.
import { afterEach, expect, it, vi } from "vitest";
import { FetchEventSource } from "../../../shared/src/event-source.ts";

afterEach(() => void vi.useRealTimers());

const EVENT_STREAM = { headers: { "content-type": "text/event-stream" } };

/** A fetch that answers each call with the next of `bodies` and records the Last-Event-ID it was called with. */
function answering(bodies: readonly string[]) {
  const asked: (string | null)[] = [];
  const fetch: typeof globalThis.fetch = (_url, init) => {
    asked.push(new Headers(init?.headers).get("last-event-id"));
    return Promise.resolve(new Response(bodies[asked.length - 1] ?? "", EVENT_STREAM));
  };
  return { fetch, asked };
}

it.each([
  ["before the blank line that ends an event", "data: one\nid: 1\n\ndata: two\nid: 2\n"],
  ["inside an event", "data: one\nid: 1\n\ndata: tw"],
  ["after an event", "data: one\nid: 1\n\n"],
])("resumes after the last whole event when it is cut %s", async (_where, first) => {
  const { fetch, asked } = answering([first, "data: two\nid: 2\n\n"]);
  const source = new FetchEventSource("http://localhost/", {
    fetch,
    headers: () => Promise.resolve({}),
  });
  const received: string[] = [];
  await new Promise<void>((resolve) => {
    source.addEventListener("message", ({ data }) => {
      received.push(data);
      if (received.length === 2) resolve();
    });
  });
  source.close();
  expect(received).toEqual(["one", "two"]);
  expect(asked).toEqual([null, "1"]);
});

it("leaves nothing behind when it is closed while it waits to come back", async () => {
  vi.useFakeTimers();
  const { fetch, asked } = answering([]);
  const source = new FetchEventSource("http://localhost/", {
    fetch,
    headers: () => Promise.resolve({}),
  });
  await vi.advanceTimersByTimeAsync(100_000);
  const before = asked.length;
  expect(before).toBeGreaterThan(1);
  source.close();
  expect(vi.getTimerCount()).toBe(0);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(asked).toHaveLength(before);
});

it("connects anew where no answer comes, and lets an open stream be", async () => {
  vi.useFakeTimers();
  let asked = 0;
  const signals: AbortSignal[] = [];
  const source = new FetchEventSource("http://localhost/", {
    headers: () => Promise.resolve({}),
    fetch: (_url, init) => {
      asked += 1;
      if (init?.signal) signals.push(init.signal);
      if (asked === 2) return Promise.resolve(new Response(new ReadableStream(), EVENT_STREAM));
      return new Promise((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason as Error));
      });
    },
  });
  const problems: (string | undefined)[] = [];
  source.addEventListener("error", ({ message }) => problems.push(message));
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toBe(2);
  expect(problems).toEqual(["The server did not answer in time."]);
  expect(source.readyState).toBe(source.OPEN);
  source.close();
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(vi.getTimerCount()).toBe(0);
});

it("sends nothing when it is closed before it has its headers", async () => {
  const wereAborted: (boolean | undefined)[] = [];
  let answerHeaders = (): void => undefined;
  const source = new FetchEventSource("http://localhost/", {
    headers: () => new Promise((resolve) => (answerHeaders = () => resolve({}))),
    fetch: (_url, init) => {
      wereAborted.push(init?.signal?.aborted);
      return Promise.reject(new Error("aborted"));
    },
  });
  source.close();
  answerHeaders();
  await expect.poll(() => wereAborted).toEqual([true]);
});

it("stays closed when it is closed as the head of an answer arrives", async () => {
  vi.useFakeTimers();
  let asked = 0;
  const cancel = vi.fn();
  const source: FetchEventSource = new FetchEventSource("http://localhost/", {
    headers: () => Promise.resolve({}),
    fetch: () => {
      asked += 1;
      // The response's head has arrived, so the signal has no further effect.
      queueMicrotask(() => source.close());
      return Promise.resolve(new Response(new ReadableStream({ cancel }), EVENT_STREAM));
    },
  });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(source.readyState).toBe(source.CLOSED);
  expect(asked).toBe(1);
  expect(cancel).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
});

/** Opens a source whose connections all get `answer`; returns when it connected, and the errors it reported. */
function connecting(answer: (signal: AbortSignal) => Response) {
  const askedAtMs: number[] = [];
  const problems: (string | undefined)[] = [];
  const source = new FetchEventSource("http://localhost/", {
    headers: () => Promise.resolve({}),
    fetch: (_url, init) => {
      askedAtMs.push(performance.now());
      return Promise.resolve(answer(init?.signal ?? new AbortController().signal));
    },
  });
  source.addEventListener("error", ({ message }) => problems.push(message));
  return { source, askedAtMs, problems };
}

/** A body that ends only when its request is aborted. */
const endless = (signal: AbortSignal) =>
  new ReadableStream({
    start: (body) => signal.addEventListener("abort", () => body.error(signal.reason)),
  });
const ours = { error: { data: { app: { code: "FORBIDDEN" } } } };
const inOurWords = (status: number, more = {}) => Response.json({ ...ours, ...more }, { status });

it.each([
  ["a maintenance page", () => new Response("<h1>Back soon</h1>", { status: 200 })],
  ["an answer without a body", () => new Response(null, { status: 204 })],
  ["a stream that ends before it says anything", () => new Response("", EVENT_STREAM)],
  ["an ingress without a backend", () => new Response("default backend - 404", { status: 404 })],
  ["a proxy's 404 in JSON", () => Response.json({ error: "no such host" }, { status: 404 })],
  ["a gateway's 401", () => new Response("sign in at the portal", { status: 401 })],
  [
    "a gateway's 403 that never ends",
    (signal: AbortSignal) => new Response(endless(signal), { status: 403 }),
  ],
  ["a 403 longer than any of ours", () => inOurWords(403, { more: "x".repeat(100_000) })],
  ["a busy server's answer", () => inOurWords(503)],
  ["a limit's answer", () => inOurWords(429)],
])("comes back ever more slowly where it gets %s", async (_what, answer) => {
  vi.useFakeTimers();
  const { source, askedAtMs } = connecting(answer);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(askedAtMs.length).toBeGreaterThan(15);
  expect(askedAtMs.length).toBeLessThan(40);
  source.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(0);
});

it("ends for good with a refusal of this API", async () => {
  vi.useFakeTimers();
  const { source, askedAtMs, problems } = connecting(() => inOurWords(403));
  await vi.advanceTimersByTimeAsync(600_000);
  expect(askedAtMs).toHaveLength(1);
  expect(problems).toHaveLength(1);
  expect(source.readyState).toBe(source.CLOSED);
  expect(vi.getTimerCount()).toBe(0);
});

it.each([
  ["an event", "data: one\n\n"],
  ["a comment", ": still here\n"],
])("comes back at once where a stream that said %s was lost", async (_what, body) => {
  vi.useFakeTimers();
  const { source, askedAtMs } = connecting(() => new Response(body, EVENT_STREAM));
  await vi.advanceTimersByTimeAsync(10_000);
  source.close();
  expect(askedAtMs.length).toBeGreaterThan(14);
});
