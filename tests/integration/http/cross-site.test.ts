// No page of another site can use up its visitor's limits, and no visitor can be prevented from signing out.
import { afterEach, describe, expect, test } from "vitest";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { FRONTEND } from "../../support/server-env.ts";
import { bearer } from "../../support/wire-call.ts";

let server: TestApp | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const N = 10;
const env = { RATE_LIMIT_MAX_REQUESTS: String(N), RATE_LIMIT_WINDOW_MS: "600000" };

/** What a browser adds to requests that pages of other sites make it send. */
const FOREIGN: [name: string, headers: Record<string, string>][] = [
  ["Origin of another site", { origin: "https://evil.example" }],
  ["Origin null", { origin: "null" }],
  ["Sec-Fetch-Site: cross-site", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }],
  ["Sec-Fetch-Site: same-site", { "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" }],
];

const CALLS: [method: string, path: string][] = [
  ["POST", "/api/auth/refresh"],
  ["POST", "/api/auth/logout"],
  ["POST", "/api/trpc/auth.refresh"],
  ["GET", "/api/trpc/credit.costs"],
  ["GET", "/api/auth/config"],
  ["GET", "/api/trpc/no.such"],
  ["GET", "/api/no-such"],
  ["PUT", "/api/auth/refresh"],
];

describe.each(FOREIGN)("%s", (_name, headers) => {
  test("returns FORBIDDEN for any number of calls, and the honest ones after them pass", async () => {
    server = await openTestApp({ env });
    const { url } = server;
    for (const [method, path] of CALLS)
      for (let call = 0; call < N * 4; call += 1) {
        const answer = await fetch(`${url}${path}`, {
          method,
          headers: { ...headers, "content-type": "application/json" },
        });
        expect(answer.status, `${method} ${path}`).toBe(403);
        expect(await answer.text()).toContain("FORBIDDEN");
      }
    const honest = await fetch(`${url}/api/auth/refresh`, {
      method: "POST",
      headers: { origin: FRONTEND },
    });
    expect(honest.status).toBe(401);
    expect((await fetch(`${url}/api/trpc/credit.costs`)).status).toBe(200);
  });
});

describe("the start of a sign-in", () => {
  const start = (url: string, headers: Record<string, string>) =>
    fetch(`${url}/api/auth/google`, { redirect: "manual", headers });

  test("returns FORBIDDEN when another site's image or frame asks for it, and does not count", async () => {
    server = await openTestApp({ env });
    const { url } = server;
    for (const [mode, dest] of [
      ["no-cors", "image"],
      ["navigate", "iframe"],
      ["cors", "empty"],
    ] as const)
      for (let call = 0; call < N; call += 1) {
        const headers = { "sec-fetch-site": "cross-site", "sec-fetch-dest": dest };
        // fetch() itself sets Sec-Fetch-Mode to cors, but the destination is sufficient.
        expect((await start(url, { ...headers, "sec-fetch-mode": mode })).status).toBe(403);
      }
    expect((await start(url, {})).status).toBe(302);
  });
});

describe("a refresh token of ours", () => {
  const post = (url: string, path: string, body: unknown) =>
    fetch(`${url}/api/auth/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  test("is counted by its session: neighbours at one address cannot use up its calls", async () => {
    server = await openTestApp({ env });
    const person = await server.signIn("counted@example.com");
    let refused = 0;
    for (let call = 0; call < N * 3 + 5; call += 1)
      if ((await post(server.url, "refresh", { refreshToken: `guess-${call}` })).status === 429)
        refused += 1;
    expect(refused).toBeGreaterThanOrEqual(4);
    // The client has refreshed once; within the grace period the former token has the same successor.
    const renewed = await post(server.url, "refresh", { refreshToken: person.refreshToken });
    expect(renewed.status).toBe(200);
    expect(renewed.headers.get("ratelimit-limit")).toBe(String(N));
  });

  test("is limited all the same: refreshes without end are refused", async () => {
    server = await openTestApp({ env });
    const { refreshToken } = await server.signIn("busy@example.com");
    const statuses: number[] = [];
    for (let call = 0; call < N + 3; call += 1)
      statuses.push((await post(server.url, "refresh", { refreshToken })).status);
    expect(statuses.at(-1)).toBe(429);
  });

  test("ends its session whatever was called before", async () => {
    server = await openTestApp({ env });
    const { url } = server;
    const { refreshToken, accessToken } = await server.signIn("leaves@example.com");
    for (let call = 0; call < N * 4; call += 1) {
      await post(url, "refresh", { refreshToken });
      await post(url, "logout", {});
    }
    expect((await post(url, "logout", {})).status).toBe(429);
    expect((await post(url, "logout", { refreshToken })).status).toBe(200);
    const me = await fetch(`${url}/api/auth/me`, {
      headers: bearer(accessToken),
    });
    expect(me.status).toBe(401);
  });

  test("ends all sessions by logoutAll when the user's own calls are used up", async () => {
    server = await openTestApp({ env });
    const { url } = server;
    const { accessToken } = await server.signIn("leaves-all@example.com");
    const headers = { authorization: `Bearer ${accessToken}`, "content-type": "application/json" };
    const call = (path: string) => fetch(`${url}/api/trpc/${path}`, { method: "POST", headers });
    for (let spend = 0; spend < N + 3; spend += 1) await call("credit.spend");
    expect((await call("credit.spend")).status).toBe(429);
    expect((await call("auth.logoutAll")).status).toBe(200);
  });
});

test.each([
  ["an unknown procedure", "GET", "/api/trpc/no.such"],
  ["a query by POST", "POST", "/api/trpc/credit.costs"],
  ["a mutation by GET", "GET", "/api/trpc/auth.refresh"],
  ["an unknown path", "GET", "/api/no-such"],
  ["a wrong method", "PUT", "/api/auth/refresh"],
  ["a body of another type", "POST", "/api/trpc/auth.refresh", "text/plain"],
  ["a body that is no JSON", "POST", "/api/auth/refresh", "application/json", "{"],
])("%s counts", async (_name, method, path, type = "application/json", body?: string) => {
  server = await openTestApp({ env });
  const statuses: number[] = [];
  for (let call = 0; call < N + 5; call += 1) {
    const answer = await fetch(`${server.url}${path}`, {
      method,
      headers: { "content-type": type },
      ...(body === undefined ? {} : { body }),
    });
    await answer.text();
    statuses.push(answer.status);
  }
  expect(statuses.slice(0, N)).not.toContain(429);
  expect(statuses.slice(N + 1)).toEqual(Array(4).fill(429));
});

test("each unknown procedure of a batch counts", async () => {
  server = await openTestApp({ env });
  const path = Array(N).fill("no.such").join(",");
  const first = await fetch(`${server.url}/api/trpc/${path}?batch=1`);
  expect(first.status).toBe(404);
  expect((await fetch(`${server.url}/api/trpc/no.such`)).status).toBe(429);
});
