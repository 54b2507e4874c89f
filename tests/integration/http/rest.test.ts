// REST, its description and its documentation page agree with the contract.
import { beforeAll, describe, expect, test } from "vitest";
import { openTestApp, type SignedIn } from "../../support/server.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

interface Description {
  openapi: string;
  paths: Record<string, Record<string, { security: object[]; responses: Record<string, unknown> }>>;
}

const server = useTestApp({ env: { METRICS_TOKEN: "metrics-token-of-the-suite" } });
let person: SignedIn;
beforeAll(async () => {
  person = await server.signIn("rest@example.com");
});

async function rest(
  method: string,
  path: string,
  options: { body?: unknown; token?: string; headers?: Record<string, string> } = {},
) {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      ...(options.token === undefined ? {} : bearer(options.token)),
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

describe("the seed's paths", () => {
  test("answer what is public, and 401 for the rest, when no token comes", async () => {
    expect(await rest("GET", "/api/auth/config")).toMatchObject({
      status: 200,
      body: { success: true, providers: [{ id: "google" }], sandbox: true },
    });
    expect(await rest("GET", "/api/payment/packages")).toMatchObject({
      status: 200,
      body: { success: true, packages: [{ credits: 100 }, { credits: 500 }, { credits: 1500 }] },
    });
    expect(await rest("GET", "/api/auth/me")).toMatchObject({
      status: 401,
      body: { success: false, code: "UNAUTHENTICATED", statusCode: 401 },
    });
  });

  test("answer with what is the person's own when a token comes", async () => {
    const token = person.accessToken;
    expect((await rest("GET", "/api/auth/me", { token })).body).toMatchObject({
      success: true,
      user: { id: person.userId, email: "rest@example.com", credits: 100 },
    });
    expect((await rest("GET", "/api/user/credits", { token })).body).toMatchObject({
      success: true,
      credits: 100,
      available: 100,
    });
    expect(
      (await rest("GET", "/api/user/credits/history?limit=1&offset=0", { token })).body,
    ).toMatchObject({ success: true, total: 1, limit: 1, offset: 0, logs: [{ type: "SIGNUP" }] });
    expect((await rest("GET", "/api/payment/history?limit=5", { token })).body).toMatchObject({
      success: true,
      payments: [],
      total: 0,
    });
    const checkout = await rest("POST", "/api/payment/checkout", {
      token,
      body: { packageId: "pkg_small" },
    });
    expect(checkout.body).toMatchObject({ success: true });
    expect(checkout.body["checkoutUrl"]).toMatch(/^http/);
  });

  test("refresh a session and end it with the token in the body", async () => {
    const session = await server.signIn("native@example.com");
    const renewed = await rest("POST", "/api/auth/refresh", {
      body: { refreshToken: session.refreshToken },
    });
    expect(renewed.body).toMatchObject({ success: true });
    expect(typeof renewed.body["accessToken"]).toBe("string");
    const refreshToken = renewed.body["refreshToken"];
    expect(await rest("POST", "/api/auth/logout", { body: { refreshToken } })).toEqual({
      status: 200,
      body: { success: true },
    });
    expect((await rest("POST", "/api/auth/refresh", { body: { refreshToken } })).status).toBe(401);
  });

  test("refresh with the cookie needs our own origin and no body", async () => {
    const session = await server.signIn("cookie@example.com");
    const refresh = (headers: Record<string, string>) =>
      fetch(`${server.url}/api/auth/refresh`, {
        method: "POST",
        headers: { cookie: `refresh=${session.refreshToken}`, ...headers },
      });
    expect((await refresh({ origin: "https://evil.example" })).status).toBe(403);
    expect((await refresh({ origin: "null" })).status).toBe(403);
    for (const site of ["same-site", "cross-site", "none"])
      expect((await refresh({ origin: server.url, "sec-fetch-site": site })).status).toBe(403);
    const answer = await refresh({ origin: "http://localhost:3000" });
    expect(answer.status).toBe(200);
    expect(await answer.json()).not.toHaveProperty("refreshToken");
    const [cookie = ""] = answer.headers.getSetCookie();
    expect(cookie).toMatch(/^refresh=[^;]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
  });
});

test("returns an access token to the docs page for the refresh cookie", async () => {
  const session = await server.signIn("docs@example.com");
  const answer = await fetch(`${server.url}/api/auth/refresh`, {
    method: "POST",
    headers: {
      cookie: `refresh=${session.refreshToken}`,
      origin: server.url,
      "sec-fetch-site": "same-origin",
    },
  });
  expect([answer.status, await answer.json()]).toMatchObject([200, { success: true }]);
});

describe("the description", () => {
  test("covers the nine paths and says who may call", async () => {
    const document = (await (await fetch(`${server.url}/api/openapi.json`)).json()) as Description;
    expect(document.openapi).toBe("3.1.0");
    for (const [path, method] of [
      ["/api/auth/config", "get"],
      ["/api/auth/refresh", "post"],
      ["/api/auth/logout", "post"],
      ["/api/auth/me", "get"],
      ["/api/user/credits", "get"],
      ["/api/user/credits/history", "get"],
      ["/api/payment/packages", "get"],
      ["/api/payment/checkout", "post"],
      ["/api/payment/history", "get"],
    ] as const)
      expect(document.paths[path]).toHaveProperty(method);
    // What the description calls public answers without a token; the rest does not.
    for (const [path, item] of Object.entries(document.paths))
      for (const [method, operation] of Object.entries(item)) {
        const answer = await rest(method.toUpperCase(), path, method === "get" ? {} : { body: {} });
        const isOpen = operation.security.every((scheme) => Object.keys(scheme).length === 0);
        const isOptional = operation.security.some((scheme) => Object.keys(scheme).length === 0);
        if (!isOpen && !isOptional) expect([path, answer.status]).toEqual([path, 401]);
        else if (method === "get") expect([path, answer.status]).toEqual([path, 200]);
        expect(operation.responses).toHaveProperty("200");
      }
  });

  test("names FORBIDDEN in every operation: each answers it to a page of another site", async () => {
    const document = (await (await fetch(`${server.url}/api/openapi.json`)).json()) as Description;
    const headers = { origin: "https://evil.example" };
    for (const [path, item] of Object.entries(document.paths))
      for (const [method, { responses }] of Object.entries(item)) {
        const answer = await rest(method.toUpperCase(), path, { headers });
        expect([path, answer.body["code"]]).toEqual([path, "FORBIDDEN"]);
        expect([path, Object.keys(responses)]).toEqual([path, expect.arrayContaining(["403"])]);
      }
  });

  test("returns a page and what it loads from this host, under a policy that allows nothing inline", async () => {
    const answer = await fetch(`${server.url}/api/docs`);
    const html = await answer.text();
    expect(answer.headers.get("content-type")).toContain("text/html");
    const policy = answer.headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'; script-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect(html).not.toMatch(/<style|<script>|style=|https?:/);
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = ""]) => path);
    expect(loaded).toContain("docs/swagger-ui-bundle.js");
    for (const path of loaded) {
      // Behind a proxy that strips a prefix, an absolute path would lack that prefix.
      expect(path).not.toMatch(/^\//);
      const file = await fetch(new URL(path, answer.url));
      expect([path, file.status]).toEqual([path, 200]);
      expect((await file.arrayBuffer()).byteLength).toBeGreaterThan(100);
    }
  });

  test("returns 302 to the page for /", async () => {
    const answer = await fetch(server.url, { redirect: "manual" });
    expect(answer.status).toBe(302);
    expect(answer.headers.get("location")).toBe("/api/docs");
  });
});

test("/ready tells of each dependency", async () => {
  const answer = await fetch(`${server.url}/ready`);
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({
    ready: true,
    shuttingDown: false,
    dependencies: { database: { status: "up" }, redis: { status: "up" } },
    events: { pending: 0, failed: 0 },
  });
});

describe("/metrics", () => {
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000);
  const scrape = (authorization?: string) =>
    fetch(
      `${server.url}/metrics`,
      authorization === undefined ? {} : { headers: { authorization } },
    );

  test("needs its token", async () => {
    expect((await scrape()).status).toBe(401);
    expect((await scrape("Bearer metrics-token-of-the-suit")).status).toBe(401);
    await person.client.credit.spend.mutate({ feature: "chat-flash", idempotencyKey: "metrics" });
    const event = { type: "t", payload: "{}", createdAt: new Date() };
    await server.models.stripeEvent.createMany({
      data: [
        { ...event, id: "evt_old", status: "PENDING", receivedAt: minutesAgo(10) },
        { ...event, id: "evt_new", status: "PENDING", receivedAt: minutesAgo(1) },
        { ...event, id: "evt_done", status: "PROCESSED", receivedAt: minutesAgo(20) },
      ],
    });
    const text = await (await scrape("Bearer metrics-token-of-the-suite")).text();
    expect(text).toMatch(/http_request_duration_seconds_count\{route="GET \/api\/auth\/me"/);
    expect(text).toContain('stripe_events_backlog{status="pending"} 2');
    expect(text).toMatch(/^stripe_events_oldest_pending_seconds 60\d/m);
    expect(text).toMatch(/^ledger_batch_operations_count [1-9]/m);
    expect(text).toMatch(/^ledger_operations_pending \d/m);
    expect(text).not.toMatch(/rest@example|route="\/nothing/);
  });
});

test("behind a proxy that takes a prefix away, the addresses told are the outside's", async () => {
  const GOOGLE_CALLBACK_URL = "https://app.example.com/backend/api/auth/google/callback";
  const proxied = await openTestApp({ env: { GOOGLE_CALLBACK_URL } });
  try {
    const { providers } = await proxied.client().auth.config.query();
    expect(providers).toEqual([
      { id: "google", url: "https://app.example.com/backend/api/auth/google" },
    ]);
    const description: unknown = await (await fetch(`${proxied.url}/api/openapi.json`)).json();
    expect(description).toMatchObject({ servers: [{ url: "https://app.example.com/backend" }] });
    const root = await fetch(proxied.url, { redirect: "manual" });
    expect(root.headers.get("location")).toBe("/backend/api/docs");
    const start = await (await fetch(`${proxied.url}/api/docs/start.js`)).text();
    expect(start).not.toContain('"/api');
  } finally {
    await proxied.close();
  }
});
