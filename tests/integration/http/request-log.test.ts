// The canonical log line: exactly one per request, with everything an operator needs and nothing secret.
import { randomUUID } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { type SignedIn, openTestApp } from "../../support/server.ts";
import { SERVICE_KEY } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

const server = useTestApp({ logLevel: "info" });
let person: SignedIn;

beforeAll(async () => {
  person = await server.signIn("line@example.com");
});

/** Sends a request; resolves with the response and every line logged about it. */
async function ask(path: string, init: RequestInit & { input?: unknown; signedIn?: boolean } = {}) {
  const { input, signedIn = false, ...rest } = init;
  const before = server.logged().length;
  const response = await fetch(`${server.url}${path}`, {
    ...rest,
    headers: {
      ...(signedIn ? bearer(person.accessToken) : {}),
      ...(input === undefined ? {} : { "content-type": "application/json" }),
      ...(rest.headers as Record<string, string> | undefined),
    },
    ...(input === undefined ? {} : { method: "POST", body: JSON.stringify(input) }),
  });
  const body = await response.text();
  await expect
    .poll(() =>
      server
        .logged()
        .slice(before)
        .some((line) => line["path"] !== undefined),
    )
    .toBe(true);
  return { response, body, logged: server.logged().slice(before) };
}

const NOTHING_ELSE = ["level", "time", "pid", "hostname", "msg"];

test("an answered call is one line: who, what, how it ended, how long it took, and nothing else", async () => {
  const { response, logged } = await ask("/api/trpc/credit.balance", { signedIn: true });
  expect(logged).toHaveLength(1);
  const [line = {}] = logged;
  expect(line).toMatchObject({
    level: "info",
    msg: "request completed",
    requestId: response.headers.get("x-request-id"),
    method: "GET",
    path: "/api/trpc/credit.balance",
    procedure: "credit.balance",
    userId: person.userId,
    status: 200,
  });
  expect(line["durationMs"]).toBeGreaterThan(0);
  const known = "requestId method path procedure userId status durationMs".split(" ");
  expect(Object.keys(line).sort()).toEqual([...NOTHING_ELSE, ...known].sort());
});

test("the line written by hand and the logger's own have the same fields", async () => {
  const [byHand = {}] = (await ask("/api/trpc/credit.costs")).logged;
  const headers = { "x-request-id": "mine" };
  const [byLogger = {}] = (await ask("/api/trpc/credit.costs", { headers })).logged;
  expect(byLogger["requestId"]).toBe("mine");
  expect(Object.keys(byLogger)).toEqual(Object.keys(byHand));
});

test("a batch is one line with all its names", async () => {
  const { logged } = await ask("/api/trpc/credit.costs,credit.balance?batch=1", { signedIn: true });
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({ procedure: "credit.costs,credit.balance", status: 200 });
});

test("a charge is in the line of its call, and not in that of a replay, which moves nothing", async () => {
  const input = { feature: "chat-flash", idempotencyKey: randomUUID() };
  const first = await ask("/api/trpc/credit.spend", { input, signedIn: true });
  expect(first.logged).toHaveLength(1);
  expect(first.logged[0]).toMatchObject({ procedure: "credit.spend", charged: 1, status: 200 });
  const again = await ask("/api/trpc/credit.spend", { input, signedIn: true });
  expect(again.logged[0]).not.toHaveProperty("charged");
});

test("a worker's call names its key, never shows it", async () => {
  const input = { userId: person.userId, feature: "chat-flash", idempotencyKey: randomUUID() };
  const headers = bearer(SERVICE_KEY);
  const { logged } = await ask("/api/trpc/service.spend", { input, headers });
  expect(logged[0]).toMatchObject({ service: "worker", charged: 1 });
  expect(JSON.stringify(logged)).not.toContain(SERVICE_KEY);
});

test("a refusal is one line with its code, and the id the caller was told", async () => {
  const { logged, body } = await ask("/api/trpc/credit.spend", { input: {}, signedIn: true });
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({
    level: "info",
    msg: "request refused",
    code: "VALIDATION_FAILED",
    status: 400,
    userId: person.userId,
  });
  const { error } = JSON.parse(body) as { error: { data: { app: { requestId: string } } } };
  expect(logged[0]?.["requestId"]).toBe(error.data.app.requestId);
});

test.each([
  ["no procedure of ours", "/api/trpc/credit.nothing", "NOT_FOUND", {}],
  ["no JSON", "/api/trpc/auth.refresh", "VALIDATION_FAILED", { method: "POST", body: "a=1" }],
  [
    "another site",
    "/api/trpc/credit.costs",
    "FORBIDDEN",
    { headers: { origin: "https://evil.example" } },
  ],
  ["no path of ours", "/nothing", "NOT_FOUND", {}],
  ["a REST call", "/api/user/credits", "UNAUTHENTICATED", {}],
])("logs a refusal before or beside tRPC with its code: %s", async (_name, path, code, init) => {
  const { logged } = await ask(path, init);
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({ msg: "request refused", code, path });
});

test("what is ours to mend is one line too, with the error and its stack", async () => {
  const { auth } = server.app.services;
  const { config } = auth;
  // The real services do not fail on demand, so one is replaced for a single call.
  Object.assign(auth, { config: () => broken() });
  try {
    const { logged, body } = await ask("/api/trpc/auth.config");
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({
      level: "error",
      msg: "request failed",
      procedure: "auth.config",
      code: "INTERNAL",
      status: 500,
      err: { message: expect.stringContaining("broken on purpose") as string },
    });
    expect(JSON.stringify(logged[0]?.["err"])).toContain("request-log.test");
    expect(body).not.toContain("broken on purpose");
  } finally {
    Object.assign(auth, { config });
  }
});

function broken(): never {
  throw new Error("broken on purpose");
}

test("a stream's line comes at its end, with how long it was open", async () => {
  const before = server.logged().length;
  const abort = new AbortController();
  const response = await fetch(`${server.url}/api/trpc/credit.onChange`, {
    headers: bearer(person.accessToken),
    signal: abort.signal,
  });
  const reader = response.body?.getReader();
  await reader?.read();
  const about = () =>
    server
      .logged()
      .slice(before)
      .filter((line) => line["path"] !== undefined);
  expect(about()).toEqual([]);
  abort.abort();
  await expect.poll(about).toHaveLength(1);
  expect(about()[0]).toMatchObject({
    msg: "request aborted",
    procedure: "credit.onChange",
    userId: person.userId,
  });
});

test("a stream that was cut says why", async () => {
  const other = await server.signIn("cut@example.com");
  const before = server.logged().length;
  const response = await fetch(`${server.url}/api/trpc/credit.onChange`, {
    headers: bearer(other.accessToken),
  });
  const whole = response.text();
  await other.client.auth.logoutAll.mutate();
  await whole;
  const about = () =>
    server
      .logged()
      .slice(before)
      .filter((line) => line["procedure"] === "credit.onChange");
  await expect.poll(about).toHaveLength(1);
  expect(about()[0]).toMatchObject({ code: "SESSION_REVOKED", msg: "request refused" });
});

test("a client's own words are looked through for secrets", async () => {
  const path = "/api/trpc/sk_live_51Habcdefghijklmnop";
  const headers = { "x-request-id": "whsec_abcdefghijklmnop" };
  const { logged } = await ask(path, { headers });
  expect(JSON.stringify(logged)).not.toContain("abcdefghijklmnop");
  expect(logged[0]).toMatchObject({ path: "/api/trpc/[redacted]", requestId: "[redacted]" });
});

test("a line for whoever asks too often says from where, so that a flood has a name", async () => {
  const limited = await openTestApp({
    logLevel: "info",
    env: { RATE_LIMIT_MAX_REQUESTS: "4" },
  });
  try {
    for (let calls = 0; calls < 5; calls += 1)
      await fetch(`${limited.url}/api/trpc/credit.costs`).then((answer) => answer.text());
    await expect
      .poll(() => limited.logged().filter((line) => line["code"] === "RATE_LIMITED"))
      .toMatchObject([
        { msg: "request refused", status: 429, ip: expect.stringMatching(/1$/) as string },
      ]);
  } finally {
    await limited.close();
  }
});
