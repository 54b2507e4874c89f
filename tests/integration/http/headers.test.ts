// The headers of every answer: security, CORS, request ids, caching.
import { describe, expect, test } from "vitest";
import { sendRaw } from "./raw.ts";
import { openTestApp } from "../../support/server.ts";
import { useTestApp } from "../../support/use-app.ts";

const ALLOWED = "https://app.example.com";
const server = useTestApp({
  env: {
    FRONTEND_URL: `${ALLOWED},http://localhost:3000`,
    GOOGLE_CALLBACK_URL: "https://api.example.com/api/auth/google/callback",
  },
});

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

const CSP = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** The complete set: a header that disappears or is added must be intentional. */
const SECURITY_HEADERS: Record<string, string> = {
  "content-security-policy": CSP,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "origin-agent-cluster": "?1",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "x-dns-prefetch-control": "off",
  "x-download-options": "noopen",
  "x-frame-options": "DENY",
  "x-permitted-cross-domain-policies": "none",
  "x-xss-protection": "0",
};

/** The other headers an answer may have; none reveals what the server is made of. */
const OTHERS = new Set([
  ..."access-control-allow-credentials access-control-allow-origin access-control-expose-headers".split(
    " ",
  ),
  ..."cache-control connection content-length content-type date keep-alive vary x-request-id".split(
    " ",
  ),
  ..."ratelimit-limit ratelimit-remaining ratelimit-reset allow transfer-encoding".split(" "),
]);

function expectWholeSet(headers: Iterable<[string, string]>, csp = CSP): void {
  const found = new Map(headers);
  for (const [name, value] of Object.entries({
    ...SECURITY_HEADERS,
    "content-security-policy": csp,
  }))
    expect(found.get(name), name).toBe(value);
  const unknown = [...found.keys()].filter(
    (name) => !Object.hasOwn(SECURITY_HEADERS, name) && !OTHERS.has(name),
  );
  expect(unknown).toEqual([]);
  expect(found.get("vary")?.toLowerCase()).toContain("origin");
  expect(found.get("x-request-id")).toMatch(/^[\w.:-]{1,64}$/);
}

test.each(PATHS)("sends the whole set of security headers and no other at %s", async (path) => {
  const answer = await fetch(`${server.url}${path}`);
  // The API's documentation page runs Swagger UI from this host, with nothing inline.
  const docs =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  expect(await answer.text()).not.toMatch(/<style|<script(?! [^>]*src=)/);
  expectWholeSet(answer.headers, path.startsWith("/api/docs") ? docs : CSP);
});

describe("refusals of the parser carry what every answer carries", () => {
  const bomb = `X-Long: ${"x".repeat(20_000)}`;
  const refusals: [status: number, text: string][] = [
    [431, `GET /health HTTP/1.1\r\nHost: x\r\nOrigin: ${ALLOWED}\r\n${bomb}\r\n\r\n`],
    [400, `GET /health HTTP/1.1\r\nHost: x\r\nOrigin: ${ALLOWED}\r\nBad Header: x\r\n\r\n`],
    [400, `GET /health HTTP/1.1\r\nOrigin: ${ALLOWED}\r\n\r\n`],
    [408, "POST /api/trpc/auth.refresh HTTP/1.1\r\nHost: x\r\nX-Slow: "],
  ];

  test.each(refusals)(
    "a %i has the whole set of security headers, and those of CORS",
    async (status, text) => {
      const answer = await sendRaw(server.url, text, 20_000);
      expect(answer.status).toBe(status);
      expectWholeSet(answer.headers);
      expect(answer.headers.get("access-control-allow-origin")).toBe(ALLOWED);
      expect(answer.headers.get("access-control-allow-credentials")).toBe("true");
      expect(JSON.parse(answer.body)).toMatchObject({ success: false, statusCode: status });
    },
    30_000,
  );

  test("and name no origin that is not ours", async () => {
    const answer = await sendRaw(
      server.url,
      `GET /health HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n${bomb}\r\n\r\n`,
    );
    expect(answer.status).toBe(431);
    expect(answer.headers.has("access-control-allow-origin")).toBe(false);
  });
});

test("sends no HSTS when it is reached by plain http", async () => {
  const plain = await openTestApp();
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
  ])("%s gets no permission to call", async (origin) => {
    const answer = await preflight(origin);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    const call = await fetch(`${server.url}/api/trpc/credit.costs`, { headers: { origin } });
    expect(call.headers.get("access-control-allow-origin")).toBeNull();
  });
});

test("the headers a page of ours may send are these and no others", async () => {
  const answer = await fetch(`${server.url}/api/trpc/credit.spend`, {
    method: "OPTIONS",
    headers: { origin: ALLOWED, "access-control-request-method": "POST" },
  });
  expect(answer.headers.get("access-control-allow-headers")).toBe(
    "authorization,content-type,trpc-accept,x-request-id,last-event-id,x-trpc-source",
  );
  expect(answer.headers.get("access-control-allow-methods")).toBe("GET,POST,PATCH,DELETE");
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
