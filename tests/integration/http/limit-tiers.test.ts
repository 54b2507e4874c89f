// What is counted together: reads, writes, exports and calls to Stripe on separate tiers, and anonymous ones by which
// address. Counting itself is the same wherever the counts are kept (limits.test.ts), so this runs once.
import { afterEach, describe, expect, test } from "vitest";
import { openTestApp, type TestApp, throughGoogle } from "../../support/server.ts";
import { bearer } from "../../support/wire-call.ts";

let server: TestApp | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const N = 20;
const env = { RATE_LIMIT_MAX_REQUESTS: String(N), RATE_LIMIT_WINDOW_MS: "600000" };

async function ask(url: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/api/trpc/credit.costs`, { headers });
  await answer.text();
  return answer;
}

test("returns RATE_LIMITED for signed-in reads only after ten times as many as writes, each call of a batch counted", async () => {
  server = await openTestApp({ env });
  const person = await server.signIn("reader@example.com");
  const headers = {
    authorization: `Bearer ${person.accessToken}`,
    "content-type": "application/json",
  };
  const read = async () => {
    const path = Array(10).fill("credit.balance").join(",");
    const answer = await fetch(`${server?.url}/api/trpc/${path}?batch=1`, { headers });
    const results = (await answer.json()) as { result?: unknown }[];
    return { answer, passed: results.filter((result) => "result" in result).length };
  };
  const spend = (key: string) => {
    const body = JSON.stringify({ feature: "chat-flash", idempotencyKey: key });
    const init = { method: "POST", headers, body };
    return fetch(`${server?.url}/api/trpc/credit.spend`, init);
  };
  const first = await read();
  expect(first.answer.headers.get("ratelimit-limit")).toBe(String(10 * N));
  let passed = first.passed;
  for (let batch = 0; batch < N + 2; batch += 1) passed += (await read()).passed;
  // The sign-in itself requested the profile once.
  expect(passed).toBeGreaterThanOrEqual(10 * N - 2);
  expect(passed).toBeLessThanOrEqual(10 * N);
  // Using up the reads leaves all writes.
  const statuses: number[] = [];
  for (let call = 0; call < N + 2; call += 1) statuses.push((await spend(`k${call}`)).status);
  expect(statuses).toEqual([...Array<number>(N).fill(200), 429, 429]);
});

test("the headers of a call that is counted twice all tell of the window with less left", async () => {
  server = await openTestApp({ env });
  const person = await server.person();
  const write = async (path: string) => {
    const answer = await server?.call(path, "mutation", {}, bearer(person.accessToken));
    return ["limit", "remaining"].map((name) => answer?.response.headers.get(`ratelimit-${name}`));
  };
  expect(await write("payment.checkout")).toEqual([String(N / 4), String(N / 4 - 1)]);
  for (let call = 0; call < N - 3; call += 1) await write("user.update");
  expect(await write("payment.checkout")).toEqual([String(N), "1"]);
});

test("returns RATE_LIMITED for exports on a tier of their own", async () => {
  server = await openTestApp({ env: { ...env, RATE_LIMIT_MAX_REQUESTS: "30" } });
  const person = await server.signIn("exporter@example.com");
  const headers = bearer(person.accessToken);
  const statuses: number[] = [];
  for (let call = 0; call < 5; call += 1)
    statuses.push((await fetch(`${server.url}/api/trpc/user.export`, { headers })).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  expect((await fetch(`${server.url}/api/auth/me`, { headers })).status).toBe(200);
});

test.each([
  ["payment.invoices", undefined],
  ["payment.previewPlanChange", { planId: "basic-monthly" }],
])(
  "returns RATE_LIMITED for %s, which calls Stripe, after as many calls as writes have",
  async (path, input) => {
    server = await openTestApp({ env });
    const person = await server.signIn("caller@example.com");
    const headers = {
      authorization: `Bearer ${person.accessToken}`,
      "content-type": "application/json",
    };
    const query = input === undefined ? "" : `?input=${encodeURIComponent(JSON.stringify(input))}`;
    const statuses: number[] = [];
    for (let call = 0; call < N + 3; call += 1)
      statuses.push((await fetch(`${server.url}/api/trpc/${path}${query}`, { headers })).status);
    expect(statuses.indexOf(429)).toBe(N);
    expect(statuses.slice(N)).toEqual([429, 429, 429]);
    // Neither other reads nor a purchase are affected.
    expect((await fetch(`${server.url}/api/auth/me`, { headers })).status).toBe(200);
    const body = JSON.stringify({ feature: "chat-flash", idempotencyKey: "after" });
    const spend = { method: "POST", headers, body };
    expect((await fetch(`${server.url}/api/trpc/credit.spend`, spend)).status).toBe(200);
  },
);

test.each([
  ["access tokens", "/api/auth/me", { method: "GET" }],
  ["service keys", "/api/trpc/service.release", { method: "POST", body: '{"holdId":"none"}' }],
])("guessing %s is counted by address", async (_what, path, request) => {
  server = await openTestApp({ env });
  const statuses: number[] = [];
  for (let call = 0; call < N + 5; call += 1) {
    const headers = { authorization: `Bearer guess-${call}`, "content-type": "application/json" };
    statuses.push((await fetch(`${server.url}${path}`, { ...request, headers })).status);
  }
  expect(statuses.slice(0, N - 1).every((status) => status === 401)).toBe(true);
  expect(statuses.slice(N + 1).every((status) => status === 429)).toBe(true);
});

test("a sign-in beyond the limit goes back to the frontend, which is told why", async () => {
  server = await openTestApp({ env });
  const places: string[] = [];
  for (let start = 0; start < N + 3; start += 1) {
    const answer = await fetch(`${server.url}/api/auth/google`, { redirect: "manual" });
    places.push(answer.headers.get("location") ?? "");
  }
  const isRefused = (place: string) => place.endsWith("/auth/callback?error=rate_limited");
  expect(places.map(isRefused)).toEqual(places.map((_place, start) => start >= N));
});

describe("X-Forwarded-For", () => {
  const from = (address: string) => ({ "x-forwarded-for": address });

  test("is not believed without TRUST_PROXY", async () => {
    server = await openTestApp({ env });
    let refused = 0;
    for (let call = 0; call < N + 10; call += 1)
      if ((await ask(server.url, from(`203.0.113.${call}`))).status === 429) refused += 1;
    expect(refused).toBeGreaterThanOrEqual(9);
  });

  test("is believed for as many hops as TRUST_PROXY says: what a client adds itself does not count", async () => {
    server = await openTestApp({ env: { ...env, TRUST_PROXY: "1" } });
    let refused = 0;
    for (let call = 0; call < N + 10; call += 1)
      if ((await ask(server.url, from(`198.51.100.${call}, 203.0.113.7`))).status === 429)
        refused += 1;
    expect(refused).toBeGreaterThanOrEqual(9);
    expect((await ask(server.url, from("203.0.113.8"))).status).toBe(200);
  });

  test.each([
    ["203.0.113.7", "203.0.113.7"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["not-an-address, 203.0.113.7", "203.0.113.7"],
  ])(
    "of a sign-in (%s) is read by the same rule: the session is from %s",
    async (chain, client) => {
      server = await openTestApp({ env: { ...env, TRUST_PROXY: "2" } });
      await throughGoogle(server.url, "forwarded@example.com", from(chain));
      const { models } = server.opened.backend.database;
      const sessions = await models.session.findMany({ select: { ipAddress: true } });
      expect(sessions).toEqual([{ ipAddress: client }]);
    },
  );

  test("counts IPv6 by /64", async () => {
    server = await openTestApp({ env: { ...env, TRUST_PROXY: "loopback" } });
    let refused = 0;
    for (let call = 0; call < N + 10; call += 1)
      if ((await ask(server.url, from(`2001:db8:1:2::${call.toString(16)}`))).status === 429)
        refused += 1;
    expect(refused).toBeGreaterThanOrEqual(9);
    expect((await ask(server.url, from("2001:db8:1:3::1"))).status).toBe(200);
  });
});
