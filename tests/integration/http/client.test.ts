// How createClient behaves: one shared refresh, one retry, batches of ten, streams that reconnect.
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { createClient } from "../../../shared/src/client.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { useTestApp } from "../../support/use-app.ts";

const server = useTestApp({});
/** Longer than the lifetime of an access token. */
const TOKEN_MS = 901_000;
// The sandbox Google uses the real time.
afterEach(() => void (server.clock.aheadMs = 0));

/** A fetch that records its calls. */
function counting() {
  const calls: string[] = [];
  const fetching: typeof globalThis.fetch = (input, init) => {
    const address = input instanceof Request ? input.url : input.toString();
    calls.push(new URL(address).pathname.replace("/api/trpc/", ""));
    return fetch(input, init);
  };
  return {
    calls,
    fetch: fetching,
    refreshes: () => calls.filter((path) => path === "auth.refresh").length,
  };
}

const until = (done: () => boolean) => expect.poll(done, { timeout: 30_000 }).toBe(true);

test("calls refused together share one refresh and are repeated once", async () => {
  const person = await server.signIn("shared@example.com");
  const seen = counting();
  const kept: string[] = [];
  const client = createClient({
    url: `${server.url}/api/trpc`,
    refreshToken: person.refreshToken,
    onRefreshToken: (token) => kept.push(token),
    fetch: seen.fetch,
  });
  const one = client.auth.me.query();
  await Promise.resolve();
  const two = client.credit.balance.query();
  await pause(0);
  const three = client.credit.history.query({});
  const [me] = await Promise.all([one, two, three]);
  expect(me.user.id).toBe(person.userId);
  expect(seen.refreshes()).toBe(1);
  expect(kept).toHaveLength(1);
  await client.auth.me.query();
  expect(seen.refreshes()).toBe(1);
  server.clock.aheadMs += TOKEN_MS;
  await client.auth.me.query();
  expect(seen.refreshes()).toBe(2);
});

test("when the sign-in is over, the caller hears it once and gets the refusal", async () => {
  const seen = counting();
  let over = 0;
  const client = createClient({
    url: `${server.url}/api/trpc`,
    refreshToken: "no-such-token",
    onSignedOut: () => (over += 1),
    fetch: seen.fetch,
  });
  await expect(client.auth.me.query()).rejects.toMatchObject({
    data: { app: { code: "UNAUTHENTICATED" } },
  });
  expect([seen.refreshes(), over]).toEqual([1, 1]);
  await expect(client.auth.me.query()).rejects.toThrow();
  expect(seen.refreshes()).toBe(1);
});

test("with nothing to refresh by, nothing is tried", async () => {
  const seen = counting();
  const client = createClient({ url: `${server.url}/api/trpc`, fetch: seen.fetch });
  await expect(client.auth.me.query()).rejects.toThrow();
  expect(seen.calls).toEqual(["auth.me"]);
});

test("a caller who keeps the token is given each new one", async () => {
  const person = await server.signIn("keeper@example.com");
  let token: string | null = null;
  const client = createClient({
    url: `${server.url}/api/trpc`,
    getAccessToken: () => token,
    onAccessToken: (next, expiresAt) => {
      token = next;
      expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
    },
    refreshToken: person.refreshToken,
  });
  expect((await client.auth.me.query()).user.email).toBe("keeper@example.com");
  expect(token).not.toBeNull();
});

test("25 calls at once go as batches of ten at most", async () => {
  const seen = counting();
  const client = createClient({ url: `${server.url}/api/trpc`, fetch: seen.fetch });
  await Promise.all(Array.from({ length: 25 }, () => client.credit.costs.query()));
  expect(seen.calls).toHaveLength(3);
  expect(Math.max(...seen.calls.map((path) => path.split(",").length))).toBe(10);
});

test("five runs at once with decks of 90 kB are five requests, none of them too large", async () => {
  const { accessToken } = await server.signIn("decks@example.com");
  const seen = counting();
  const client = createClient({
    url: `${server.url}/api/trpc`,
    cookies: false,
    getAccessToken: () => accessToken,
    fetch: seen.fetch,
  });
  const deck = { title: "Large", slides: [{ title: "One", bullets: ["x".repeat(90_000)] }] };
  const edit = { feature: "ppt-edit", deck, instruction: "Shorter" } as const;
  const runs = await Promise.all(
    [1, 2, 3, 4, 5].map((n) => client.ai.start.mutate({ ...edit, idempotencyKey: `deck-${n}` })),
  );
  expect(seen.calls).toEqual(Array(5).fill("ai.start"));
  await Promise.all(runs.map(({ runId }) => client.ai.stop.mutate({ runId })));
});

test("a stream outlives its access token and the loss of its connection", async () => {
  const person = await server.signIn("stream@example.com");
  const seen = counting();
  const port = Number(new URL(server.url).port);
  const proxy = await startTcpProxy("127.0.0.1", port);
  onTestFinished(() => proxy.close());
  const client = createClient({
    url: `http://localhost:${proxy.port}/api/trpc`,
    refreshToken: person.refreshToken,
    fetch: seen.fetch,
  });
  const credits: number[] = [];
  const subscription = client.credit.onChange.subscribe(undefined, {
    onData: (change) => credits.push(change.credits),
  });
  await until(() => credits.at(-1) === 100);
  await client.credit.spend.mutate({ feature: "chat-flash", idempotencyKey: "stream-1" });
  await until(() => credits.at(-1) === 99);
  const before = credits.length;
  server.clock.aheadMs += TOKEN_MS;
  proxy.moveTo(port);
  // The balance arrives as soon as the stream is open again, with a token that was renewed on the way.
  await until(() => credits.length > before);
  await client.credit.spend.mutate({ feature: "chat-flash", idempotencyKey: "stream-2" });
  await until(() => credits.at(-1) === 98);
  subscription.unsubscribe();
  expect(seen.calls.every((path) => !path.includes("token"))).toBe(true);
});

test("a stream goes on past the end of its token, again and again, and loses no change", async () => {
  const person = await server.signIn("long-stream@example.com");
  const seen = counting();
  const client = createClient({
    url: `${server.url}/api/trpc`,
    refreshToken: person.refreshToken,
    fetch: seen.fetch,
  });
  const credits: number[] = [];
  const errors: unknown[] = [];
  const subscription = client.credit.onChange.subscribe(undefined, {
    onData: (change) => credits.push(change.credits),
    onError: (error) => errors.push(error),
  });
  // Another client spends, so that only the stream itself renews this one's token.
  const spender = createClient({
    url: `${server.url}/api/trpc`,
    refreshToken: (await server.signIn("long-stream@example.com")).refreshToken,
  });
  await until(() => credits.length > 0);
  for (let spent = 1; spent <= 16; spent++) {
    await spender.credit.spend.mutate({ feature: "chat-flash", idempotencyKey: `long-${spent}` });
    if (spent % 4 !== 0) continue;
    await until(() => credits.at(-1) === 100 - spent);
    const refreshes = seen.refreshes();
    server.clock.aheadMs += TOKEN_MS;
    // The next spend happens while the stream is being reopened.
    await until(() => seen.refreshes() > refreshes);
  }
  subscription.unsubscribe();
  expect(errors).toEqual([]);
  // Once to open it, and once at the end of each token.
  expect(seen.refreshes()).toBe(5);
  expect(credits).toEqual([...credits].sort((a, b) => b - a));
});

test("a stream whose session was revoked ends with the refusal, and is not opened again", async () => {
  const person = await server.signIn("revoked-stream@example.com");
  const seen = counting();
  const client = createClient({
    url: `${server.url}/api/trpc`,
    refreshToken: person.refreshToken,
    fetch: seen.fetch,
  });
  const codes: unknown[] = [];
  let opened = false;
  client.credit.onChange.subscribe(undefined, {
    onData: () => (opened = true),
    onError: (error) => codes.push(error.data?.app.code),
  });
  await until(() => opened);
  await client.auth.logoutAll.mutate();
  await until(() => codes.length > 0);
  expect(codes).toHaveLength(1);
  expect(["SESSION_REVOKED", "UNAUTHENTICATED"]).toContain(codes[0]);
  const calls = seen.calls.length;
  await pause(1_500);
  expect(seen.calls).toHaveLength(calls);
});

test("a stream that is opened again with the last id it had goes on", async () => {
  const { accessToken } = await server.signIn("resumes@example.com");
  const stop = new AbortController();
  const answer = await fetch(`${server.url}/api/trpc/credit.onChange`, {
    headers: { authorization: `Bearer ${accessToken}`, "last-event-id": "41" },
    signal: stop.signal,
  });
  expect(answer.status).toBe(200);
  let text = "";
  for await (const chunk of answer.body ?? []) {
    text += Buffer.from(chunk).toString();
    if (text.includes('"credits":100') || text.includes("serialized-error")) break;
  }
  stop.abort();
  expect(text).toContain('"credits":100');
});
