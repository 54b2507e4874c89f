// A stream whose access token has ended while the server cannot renew it: it comes back by itself.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createClient } from "../../../shared/src/client.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const refusal = (code: string) => ({
  message: code,
  code: -32001,
  data: { code: "UNAUTHORIZED", httpStatus: 401, app: { code } },
});

const refusedStream = () =>
  new Response(`event: serialized-error\ndata: ${JSON.stringify(refusal("TOKEN_EXPIRED"))}\n\n`, {
    status: 401,
    headers: { "content-type": "text/event-stream" },
  });

const openStream = () =>
  new Response(
    new ReadableStream({
      start: (stream) => stream.enqueue(new TextEncoder().encode("event: connected\ndata: {}\n\n")),
    }),
    { headers: { "content-type": "text/event-stream" } },
  );

/** A client with an ended access token; its refreshes get the next of `answers`, the last one for good. */
function subscribing(answers: readonly (() => Promise<Response>)[]) {
  const seen = { refreshes: 0, streams: 0, started: 0, lost: 0, errors: [] as string[] };
  const client = createClient({
    url: "http://localhost/api/trpc",
    refreshToken: "first",
    fetch: (url) => {
      if ((url as string).endsWith("auth.refresh")) {
        const answer = answers[Math.min(seen.refreshes, answers.length - 1)];
        seen.refreshes += 1;
        return answer?.() ?? Promise.reject(new Error("offline"));
      }
      seen.streams += 1;
      return Promise.resolve(seen.streams === 1 ? refusedStream() : openStream());
    },
  });
  const stream = client.credit.onChange.subscribe(undefined, {
    onStarted: () => (seen.started += 1),
    onError: (error) => seen.errors.push(error.message),
    onConnectionStateChange: ({ state, error }) => {
      if (state === "connecting" && error !== null) seen.lost += 1;
    },
  });
  return { seen, stream };
}

const offline = () => Promise.reject(new Error("offline"));
const status = (code: number) => () => Promise.resolve(new Response("busy", { status: code }));
const notFound = () => Response.json({ error: { message: "no such host" } }, { status: 404 });
const renewed = () =>
  Promise.resolve(Response.json({ result: { data: { accessToken: "new", expiresAt: "" } } }));

it.each([
  ["has no connection", offline],
  ["is behind a proxy that says 401", status(401)],
  ["is behind a proxy that says 403", status(403)],
  ["is behind a proxy that says 404 in JSON", () => Promise.resolve(notFound())],
  ["is behind a proxy that says 408", status(408)],
  ["is answered 503", status(503)],
  ["is answered 429", status(429)],
])("waits while its refresh %s", async (_what, unavailable) => {
  const { seen, stream } = subscribing([
    ...Array<() => Promise<Response>>(8).fill(unavailable),
    renewed,
  ]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(seen).toMatchObject({ streams: 1, started: 0, errors: [] });
  expect(seen.lost).toBeGreaterThan(0);
  await vi.advanceTimersByTimeAsync(200_000);
  expect(seen).toMatchObject({ streams: 2, started: 1, errors: [] });
  stream.unsubscribe();
  expect(vi.getTimerCount()).toBe(0);
});

it("ends with a refresh that is refused", async () => {
  const refused = () =>
    Promise.resolve(Response.json({ error: refusal("REFRESH_REUSED") }, { status: 401 }));
  const { seen } = subscribing([refused]);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(seen).toMatchObject({ refreshes: 1, streams: 1, errors: ["TOKEN_EXPIRED"] });
});

it("asks for no more tokens once nobody listens, and ever more slowly before", async () => {
  const { seen, stream } = subscribing([status(503)]);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(seen.refreshes).toBeGreaterThan(15);
  expect(seen.refreshes).toBeLessThan(40);
  stream.unsubscribe();
  expect(vi.getTimerCount()).toBe(0);
  const before = seen.refreshes;
  await vi.advanceTimersByTimeAsync(100_000);
  expect(seen.refreshes).toBe(before);
});
