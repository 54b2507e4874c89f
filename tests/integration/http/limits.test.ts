// N calls per window pass and no more: across two instances, in batches, per user and per address. What is counted
// together is tested in limit-tiers.test.ts.
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { serviceUnavailable } from "../../../server/database/errors.ts";
import { available } from "../../support/backend.ts";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { bearer } from "../../support/wire-call.ts";

let server: TestApp | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});
afterAll(() => server?.close());

const N = 20;
const env = { RATE_LIMIT_MAX_REQUESTS: String(N), RATE_LIMIT_WINDOW_MS: "600000" };

async function ask(url: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/api/trpc/credit.costs`, { headers });
  await answer.text();
  return answer;
}

describe("limits", () => {
  test("N (+-1) of 60 calls pass, at two instances where they share Redis; the refused one says when to come back", async () => {
    // In-process limits belong to one process by definition; sharing them requires Redis.
    server = await openTestApp({ available, env, instances: available.redis ? 2 : 1 });
    const { instances } = server;
    const statuses: number[] = [];
    for (let call = 0; call < 60; call += 1) {
      const answer = await ask(instances[call % instances.length]?.url ?? "");
      statuses.push(answer.status);
      if (answer.status !== 429) continue;
      const seconds = Number(answer.headers.get("retry-after"));
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(600);
      expect(answer.headers.get("ratelimit-remaining")).toBe("0");
      expect(answer.headers.get("ratelimit-limit")).toBe(String(N));
    }
    const passed = statuses.filter((status) => status === 200).length;
    expect(passed).toBeGreaterThanOrEqual(N - 1);
    expect(passed).toBeLessThanOrEqual(N + 1);
    expect(statuses.filter((status) => status !== 200 && status !== 429)).toEqual([]);
  });

  test("every call of a batch counts", async () => {
    server = await openTestApp({ available, env });
    let passed = 0;
    for (let batch = 0; batch < 4; batch += 1) {
      const path = Array(10).fill("credit.costs").join(",");
      const answer = await fetch(`${server.url}/api/trpc/${path}?batch=1`);
      const results = (await answer.json()) as { result?: unknown }[];
      passed += results.filter((result) => "result" in result).length;
    }
    expect(passed).toBeGreaterThanOrEqual(N - 1);
    expect(passed).toBeLessThanOrEqual(N + 1);
  });

  test("a signed-in user is counted apart from the address, and a probe not at all", async () => {
    server = await openTestApp({ available, env });
    const person = await server.signIn("limited@example.com");
    const headers = bearer(person.accessToken);
    const statuses: number[] = [];
    for (let call = 0; call < N + 5; call += 1) {
      const answer = await fetch(`${server.url}/api/trpc/user.update`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify({ name: `Name ${call}` }),
      });
      statuses.push(answer.status);
    }
    const passed = statuses.filter((status) => status === 200).length;
    expect(passed).toBe(N);
    expect((await ask(server.url)).status).toBe(200);
    for (let probe = 0; probe < N + 5; probe += 1)
      expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  test("a logout that shows a token of ours is never refused, however many there are", async () => {
    const world = await openTestApp({ available, env: { ...env, RATE_LIMIT_MAX_REQUESTS: "1" } });
    try {
      const person = await world.person();
      const logout = async (path: string, refreshToken: string) => {
        const headers = { "content-type": "application/json" };
        const init = { method: "POST", headers, body: JSON.stringify({ refreshToken }) };
        return (await fetch(world.url + path, init)).status;
      };
      for (const path of ["/api/auth/logout", "/api/trpc/auth.logout"])
        for (let call = 0; call < 3; call += 1)
          expect(await logout(path, person.refreshToken)).toBe(200);
      // A call without one of our tokens counts against the address, three per window here.
      const statuses: number[] = [];
      for (let call = 0; call < 4; call += 1)
        statuses.push(await logout("/api/auth/logout", "skr_x"));
      expect(statuses).toEqual([200, 200, 200, 429]);
      const other = await world.person();
      expect(await logout("/api/auth/logout", other.refreshToken)).toBe(200);
      const { models } = world;
      expect(await models.session.count({ where: { revokedReason: "logout" } })).toBe(2);
    } finally {
      await world.close();
    }
  });

  test("a logout that is repeated without end costs the database one write", async () => {
    server = await openTestApp({ available, env });
    const { refreshToken } = await server.session();
    const writes: string[] = [];
    server.backend.onStatement((sql) => {
      if (/^update\b.*\bsessions\b/is.test(sql)) writes.push(sql);
      return () => undefined;
    });
    const logout = async () =>
      (await server?.call("auth.logout", "mutation", { refreshToken }))?.data;
    const answers: unknown[] = [];
    for (let round = 0; round < 4; round += 1)
      answers.push(...(await Promise.all(Array.from({ length: 50 }, logout))));
    expect(answers).toEqual(Array.from({ length: 200 }, () => ({})));
    expect(writes).toHaveLength(1);
  });
});

test("a signed-in user's reads of what is public are counted with the user's own, and take nothing from the address", async () => {
  server = await openTestApp({ available, env });
  const person = await server.signIn("browser@example.com");
  const headers = bearer(person.accessToken);
  const answers: Response[] = [];
  for (let call = 0; call < N + 5; call += 1) answers.push(await ask(server.url, headers));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(answers[0]?.headers.get("ratelimit-limit")).toBe(String(10 * N));
  const nobody = await ask(server.url);
  expect(nobody.headers.get("ratelimit-remaining")).toBe(String(N - 1));
  // A caller with an invalid token is anonymous.
  const guess = await ask(server.url, { authorization: "Bearer guessed" });
  expect([guess.status, guess.headers.get("ratelimit-remaining")]).toEqual([200, String(N - 2)]);
});

test("an expired token counts against the address and is told so however busy that is; a guessed one is refused", async () => {
  server = await openTestApp({ available, env });
  const person = await server.person();
  server.clock.aheadMs = 16 * 60_000;
  const me = (token: string) => server?.call("auth.me", "query", undefined, bearer(token));
  const codes: unknown[] = [];
  for (let call = 0; call < N + 5; call += 1) codes.push((await me(person.accessToken))?.code);
  expect(codes).toEqual(codes.map(() => "TOKEN_EXPIRED"));
  expect((await ask(server.url)).status).toBe(429);
  expect((await me("guessed"))?.code).toBe("RATE_LIMITED");
});

test("a token that has expired or was revoked is told so of what is public, too, once its address has nothing left", async () => {
  server = await openTestApp({ available, env });
  const [expired, revoked] = [await server.person(), await server.person()];
  const packages = (token: string) =>
    server?.call("payment.packages", "query", undefined, bearer(token));
  await server.call("auth.logout", "mutation", { refreshToken: revoked.refreshToken });
  const codes: unknown[] = [];
  for (let call = 0; call < N; call += 1) codes.push((await packages(revoked.accessToken))?.code);
  // Public procedures are answered for as long as the address is within its limit.
  expect(codes).toEqual(codes.map(() => null));
  expect((await packages(revoked.accessToken))?.code).toBe("SESSION_REVOKED");
  server.clock.aheadMs = 16 * 60_000;
  expect((await packages(expired.accessToken))?.code).toBe("TOKEN_EXPIRED");
  expect((await packages("guessed"))?.code).toBe("RATE_LIMITED");
});

test("a revoked token is told so however busy its address is", async () => {
  server = await openTestApp({ available, env });
  const person = await server.person();
  await server.call("auth.logout", "mutation", { refreshToken: person.refreshToken });
  for (let call = 0; call < N + 5; call += 1) {
    const me = await server.call("auth.me", "query", undefined, bearer(person.accessToken));
    expect(me.code).toBe("SESSION_REVOKED");
  }
});

test("calls that fail for want of the database count against nobody", async () => {
  server = await openTestApp({ available, env });
  const person = await server.person();
  const away = vi.spyOn(server.auth, "authenticate").mockRejectedValue(serviceUnavailable());
  for (let call = 0; call < N + 5; call += 1) {
    const me = await server.call("auth.me", "query", undefined, bearer(person.accessToken));
    expect(me.code).toBe("SERVICE_UNAVAILABLE");
    // Public procedures need no database.
    expect((await ask(server.url, bearer(person.accessToken))).status).toBe(200);
  }
  away.mockRestore();
  expect((await ask(server.url)).headers.get("ratelimit-remaining")).toBe(String(N - 1));
});
