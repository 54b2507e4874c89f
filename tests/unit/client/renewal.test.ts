// A stream whose expired access token cannot be renewed at first reconnects automatically; calls never switch users.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
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

/** A client with an expired access token; its refreshes get the next of `answers`, and the last one repeatedly. */
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

/** An access token for this person. */
const tokenOf = (sub: string, n: number) =>
  `e30.${Buffer.from(JSON.stringify({ sub, n })).toString("base64url")}.signature`;

const outcomeOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => (error as Error).message,
  );

/** A browser's client whose cookie belongs to `cookieOf()`, on a server that rejects the tokens in `expired`. */
function signedInByCookie(cookieOf: () => string, getAccessToken?: () => string) {
  const expired = new Set<string>();
  const seen = {
    calls: [] as (string | null)[],
    signedOut: 0,
    refreshes: 0,
    tokens: [] as string[],
  };
  const client = createClient({
    url: "http://localhost/api/trpc",
    cookies: true,
    ...(getAccessToken === undefined ? {} : { getAccessToken }),
    onSignedOut: () => (seen.signedOut += 1),
    onAccessToken: (token) => seen.tokens.push(token),
    fetch: async (url, init) => {
      const data = () => ({
        accessToken: tokenOf(cookieOf(), seen.tokens.length),
        expiresAt: "2027-01-31T00:00:00.000Z",
      });
      if ((url as string).endsWith("auth.refresh")) {
        seen.refreshes += 1;
        return Response.json({ result: { data: data() } });
      }
      if ((url as string).includes("auth.refresh"))
        return Response.json([{ result: { data: data() } }]);
      const token =
        new Headers(init?.headers).get("authorization")?.slice("Bearer ".length) ?? null;
      seen.calls.push(token);
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (token !== null && !expired.has(token)) return Response.json([{ result: { data: {} } }]);
      return Response.json([{ error: refusal("TOKEN_EXPIRED") }], { status: 401 });
    },
  });
  const settle = async (call: Promise<unknown>) => {
    const outcome = outcomeOf(call);
    await vi.advanceTimersByTimeAsync(1_000);
    return outcome;
  };
  const expireAll = () => {
    for (const token of seen.tokens) expired.add(token);
  };
  return { client, seen, settle, expireAll };
}

describe("a call refused for one person", () => {
  it("is repeated for the same one", async () => {
    const { client, seen, settle, expireAll } = signedInByCookie(() => "ada");
    await settle(client.auth.refresh.mutate({}));
    expireAll();
    expect(await settle(client.user.update.mutate({ name: "Ada" }))).toBe("done");
    expect(seen).toMatchObject({ calls: seen.tokens, signedOut: 0 });
    expect(seen.tokens).toHaveLength(2);
  });

  it("is not repeated as another who has signed in in another tab", async () => {
    let cookie = "ada";
    const { client, seen, settle, expireAll } = signedInByCookie(() => cookie);
    await settle(client.auth.refresh.mutate({}));
    expireAll();
    cookie = "bob";
    const update = () => settle(client.user.update.mutate({ name: "Ada" }));
    // Nor are later calls: this page is still hers. And his cookie is left alone.
    for (let n = 0; n < 10; n++) expect(await update()).toBe("TOKEN_EXPIRED");
    expect(seen.tokens).toEqual([tokenOf("ada", 0)]);
    expect(seen.calls).toEqual([tokenOf("ada", 0), ...Array<null>(9).fill(null)]);
    expect(seen).toMatchObject({ refreshes: 1, signedOut: 1 });
    // A caller that explicitly asks for the cookie's token gets it, whoever it belongs to.
    expect(await settle(client.auth.refresh.mutate({}))).toBe("done");
    expect(await update()).toBe("done");
    expect(seen.calls.at(-1)).toBe(tokenOf("bob", 1));
  });

  it("asks again once the caller has given another token", async () => {
    let given = tokenOf("ada", 0);
    const { client, seen, settle, expireAll } = signedInByCookie(
      () => "bob",
      () => given,
    );
    const update = () => settle(client.user.update.mutate({ name: "Ada" }));
    seen.tokens.push(given);
    expireAll();
    for (let n = 0; n < 10; n++) expect(await update()).toBe("TOKEN_EXPIRED");
    expect(seen).toMatchObject({ refreshes: 1, signedOut: 1 });
    given = tokenOf("bob", 9);
    seen.tokens.push(given);
    expireAll();
    await update();
    expect(seen).toMatchObject({ refreshes: 2, signedOut: 1 });
  });

  it("is not repeated as another, though it was the page's first, with a token of the caller's", async () => {
    const { client, seen, settle, expireAll } = signedInByCookie(
      () => "bob",
      () => tokenOf("ada", 0),
    );
    seen.tokens.push(tokenOf("ada", 0));
    expireAll();
    const outcome = outcomeOf(client.user.update.mutate({ name: "Ada" }));
    await vi.advanceTimersByTimeAsync(50);
    await settle(client.auth.refresh.mutate({}));
    expect(await outcome).toBe("TOKEN_EXPIRED");
    expect(seen).toMatchObject({ calls: [tokenOf("ada", 0)], signedOut: 0 });
  });

  it("is not repeated as another whose token the page took meanwhile", async () => {
    let cookie = "ada";
    const { client, seen, settle, expireAll } = signedInByCookie(() => cookie);
    await settle(client.auth.refresh.mutate({}));
    expireAll();
    const outcome = outcomeOf(client.user.update.mutate({ name: "Ada" }));
    await vi.advanceTimersByTimeAsync(50);
    cookie = "bob";
    await settle(client.auth.refresh.mutate({}));
    expect(await outcome).toBe("TOKEN_EXPIRED");
    expect(seen).toMatchObject({ calls: [tokenOf("ada", 0)], signedOut: 0 });
  });

  it("is repeated as whoever signs in after signing out", async () => {
    let cookie = "ada";
    const { client, seen, settle } = signedInByCookie(() => cookie);
    await settle(client.auth.refresh.mutate({}));
    await settle(client.auth.logout.mutate({}));
    cookie = "bob";
    expect(await settle(client.user.update.mutate({ name: "Bob" }))).toBe("done");
    expect(seen.calls.at(-1)).toBe(tokenOf("bob", 1));
    expect(seen.signedOut).toBe(0);
  });
});
