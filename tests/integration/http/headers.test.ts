// Owns the proof of the headers every answer carries: security, CORS, request ids, caching.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "../../support/server.ts";

const ALLOWED = "https://app.example.com";
let server: TestServer;
beforeAll(async () => {
  server = await startServer({
    env: {
      FRONTEND_URL: `${ALLOWED},http://localhost:3000`,
      GOOGLE_CALLBACK_URL: "https://api.example.com/api/auth/google/callback",
    },
  });
});
afterAll(() => server.close());

const PATHS = [
  "/health",
  "/ready",
  "/api/trpc/credit.costs",
  "/api/trpc/nothing",
  "/api/auth/config",
  "/api/docs",
  "/api/openapi.json",
  "/nothing",
  "/api/trpc/auth.refresh",
];

test.each(PATHS)("security headers at %s", async (path) => {
  const { headers } = await fetch(`${server.url}${path}`);
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
  expect(headers.get("strict-transport-security")).toMatch(/^max-age=31536000/);
  expect(headers.get("x-powered-by")).toBeNull();
  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'/);
  expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  expect(headers.get("vary")?.toLowerCase()).toContain("origin");
});

test("no HSTS on plain http", async () => {
  const plain = await startServer();
  const { headers } = await fetch(`${plain.url}/health`);
  await plain.close();
  expect(headers.get("strict-transport-security")).toBeNull();
});

describe("CORS", () => {
  const preflight = (origin: string) =>
    fetch(`${server.url}/api/trpc/credit.spend`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });

  test.each([ALLOWED, "http://localhost:3000"])("%s may call with cookies", async (origin) => {
    const answer = await preflight(origin);
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
    expect(answer.headers.get("access-control-allow-credentials")).toBe("true");
    const call = await fetch(`${server.url}/api/trpc/credit.costs`, { headers: { origin } });
    expect(call.headers.get("access-control-allow-origin")).toBe(origin);
  });

  test.each([
    "https://evil.example",
    "null",
    `${ALLOWED}.evil.example`,
    "https://evil-app.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
  ])("%s may not", async (origin) => {
    const answer = await preflight(origin);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    const call = await fetch(`${server.url}/api/trpc/credit.costs`, { headers: { origin } });
    expect(call.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("request ids", () => {
  const idFor = async (sent?: string) =>
    (
      await fetch(
        `${server.url}/health`,
        sent === undefined ? {} : { headers: { "x-request-id": sent } },
      )
    ).headers.get("x-request-id");

  test("a sane one is echoed", async () => {
    expect(await idFor("abc-123_DEF:4.5")).toBe("abc-123_DEF:4.5");
  });

  test.each(["a b", "<script>", "x".repeat(65), '"', "a\tb", "a,b"])(
    "%j is replaced",
    async (sent) => {
      const id = await idFor(sent);
      expect(id).not.toBe(sent);
      expect(id).toMatch(/^[0-9a-f-]{36}$/);
    },
  );

  test("each answer has its own", async () => {
    expect(await idFor()).not.toBe(await idFor());
  });
});

test.each(["/api/trpc/credit.costs", "/api/payment/packages", "/api/auth/me", "/api/trpc/auth.me"])(
  "%s is not to be stored",
  async (path) => {
    const { headers } = await fetch(`${server.url}${path}`);
    expect(headers.get("cache-control")).toBe("no-store");
  },
);
