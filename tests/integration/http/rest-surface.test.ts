import { beforeAll, describe, expect, test } from "vitest";
import type { SignedIn } from "../../support/server.ts";
import { useTestApp } from "../../support/use-app.ts";

const server = useTestApp({});
let person: SignedIn;
beforeAll(async () => {
  server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
  person = await server.signIn("surface@example.com");
});

interface Call {
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

async function send(method: string, path: string, call: Call = {}): Promise<Response> {
  const { body, token = person.accessToken, headers = {} } = call;
  return fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function rest(method: string, path: string, call: Call = {}) {
  const answer = await send(method, path, call);
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

function refusal(statusCode: number, code: string) {
  return {
    status: statusCode,
    body: {
      success: false,
      code,
      statusCode,
      message: expect.any(String) as string,
      requestId: expect.any(String) as string,
    },
  };
}

/** Returns the events of a stream that has ended. */
function eventsOf(text: string): { id: string | undefined; data: Record<string, unknown> }[] {
  return text
    .split("\n\n")
    .filter((block) => block.includes("data: "))
    .map((block) => ({
      id: /^id: (.*)$/m.exec(block)?.[1],
      data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? "") as Record<string, unknown>,
    }));
}

async function startRun(idempotencyKey: string): Promise<string> {
  const started = await rest("POST", "/api/ai/runs", {
    body: {
      feature: "chat-flash",
      messages: [{ role: "user", content: "What is a monad?" }],
      idempotencyKey,
    },
  });
  expect(started).toMatchObject({ status: 200, body: { success: true, feature: "chat-flash" } });
  return String(started.body["runId"]);
}

describe("runs", () => {
  test("returns each event with its id and JSON data, and closes after end", async () => {
    const runId = await startRun("rest-run");
    const answer = await send("GET", `/api/ai/runs/${runId}/events`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const events = eventsOf(await answer.text());
    expect(events.length).toBeGreaterThan(2);
    expect(events.at(-1)?.data).toMatchObject({ type: "end", outcome: "completed", charged: 1 });
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);

    const [first, ...rest1] = events;
    const byHeader = await send("GET", `/api/ai/runs/${runId}/events?lastEventId=wrong`, {
      headers: { "last-event-id": first?.id ?? "" },
    });
    expect(eventsOf(await byHeader.text())).toEqual(rest1);
    const byQuery = await send("GET", `/api/ai/runs/${runId}/events?lastEventId=${first?.id}`);
    expect(eventsOf(await byQuery.text())).toEqual(rest1);
    const afterEnd = await send("GET", `/api/ai/runs/${runId}/events`, {
      headers: { "last-event-id": events.at(-1)?.id ?? "" },
    });
    expect([afterEnd.status, await afterEnd.text()]).toEqual([204, ""]);

    expect(await rest("GET", `/api/ai/runs/${runId}`)).toMatchObject({
      status: 200,
      body: { success: true, runId, state: "completed", charged: 1 },
    });
    expect(await rest("POST", `/api/ai/runs/${runId}/stop`)).toMatchObject({
      status: 200,
      body: { success: true, outcome: "completed", charged: 1 },
    });
  });

  test("returns JSON errors when the stream cannot begin", async () => {
    expect(await rest("GET", "/api/ai/runs/no_such_run/events")).toMatchObject(
      refusal(404, "NOT_FOUND"),
    );
    const runId = await startRun("rest-foreign-id");
    expect(
      await rest("GET", `/api/ai/runs/${runId}/events`, { headers: { "last-event-id": "x-1" } }),
    ).toMatchObject(refusal(400, "VALIDATION_FAILED"));
    expect(await rest("GET", `/api/ai/runs/${runId}/events`, { token: "nobody" })).toMatchObject(
      refusal(401, "UNAUTHENTICATED"),
    );
    const other = await server.signIn("surface-other@example.com");
    expect(
      await rest("GET", `/api/ai/runs/${runId}/events`, { token: other.accessToken }),
    ).toMatchObject(refusal(404, "NOT_FOUND"));
  });

  test("ends a stream with a failure when its session is over", async () => {
    const { accessToken: token } = await server.signIn("surface-watcher@example.com");
    const answer = await send("GET", "/api/user/credits/events", { token });
    expect(answer.status).toBe(200);
    const whole = answer.text();
    await rest("POST", "/api/auth/logout-all", { token });
    const [, failure = ""] = /^event: failure\ndata: (.*)$/m.exec(await whole) ?? [];
    expect(JSON.parse(failure)).toMatchObject(refusal(401, "SESSION_REVOKED").body);
  });

  test("returns the headers of a stream alone to HEAD", async () => {
    const answer = await send("HEAD", "/api/user/credits/events");
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe("");
  });

  test("lets the frontend's origin send every method", async () => {
    const preflight = await fetch(`${server.url}/api/user`, {
      method: "OPTIONS",
      headers: { origin: "http://localhost:3000", "access-control-request-method": "PATCH" },
    });
    expect(preflight.headers.get("access-control-allow-methods")).toMatch(/PATCH,DELETE/);
  });
});

describe("input", () => {
  test("reads path, query and body, and refuses a name given twice", async () => {
    expect(await rest("PATCH", "/api/user", { body: { name: "Ada" } })).toMatchObject({
      status: 200,
      body: { success: true, user: { name: "Ada" } },
    });
    expect(await rest("GET", "/api/user")).toMatchObject({ body: { user: { name: "Ada" } } });
    expect(await rest("GET", "/api/user/credits/history?limit=1")).toMatchObject({
      status: 200,
      body: { limit: 1 },
    });
    for (const query of ["limit=one", "limit=1.5", "limit=0", "limit=1&limit=2", "unknown=1"])
      expect([query, await rest("GET", `/api/user/credits/history?${query}`)]).toMatchObject([
        query,
        refusal(400, "VALIDATION_FAILED"),
      ]);
    expect(
      await rest("DELETE", "/api/auth/sessions/some", { body: { sessionId: "other" } }),
    ).toMatchObject(refusal(400, "VALIDATION_FAILED"));
    expect(await rest("DELETE", "/api/auth/sessions/some", { body: [1] })).toMatchObject(
      refusal(400, "VALIDATION_FAILED"),
    );
    expect(await rest("DELETE", "/api/auth/sessions/some")).toMatchObject(
      refusal(404, "NOT_FOUND"),
    );
  });

  test("takes the largest deck and instruction from a client whose JSON is ASCII alone", async () => {
    const deck = { title: "t", slides: [{ title: "s", bullets: ["\u0436".repeat(49_900)] }] };
    const input = { feature: "ppt-edit", deck, instruction: "\u0436".repeat(4_000) };
    const body = JSON.stringify({ ...input, idempotencyKey: "largest" });
    const started = await fetch(`${server.url}/api/ai/runs`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${person.accessToken}`,
        "content-type": "application/json",
      },
      body: body.replaceAll("\u0436", String.raw`\u0436`),
    });
    expect(await started.json()).toMatchObject({ success: true, feature: "ppt-edit" });
  });

  test("returns 405 with Allow, 413 and 415 in the same shape", async () => {
    const put = await send("PUT", "/api/user");
    expect(put.headers.get("allow")).toBe("GET, PATCH, DELETE");
    expect(await put.json()).toMatchObject({ success: false, statusCode: 405 });
    const runs = await send("GET", "/api/ai/runs");
    expect([runs.status, runs.headers.get("allow")]).toEqual([405, "POST"]);
    expect(
      await rest("POST", "/api/ai/runs", { body: { topic: "x".repeat(400_000) } }),
    ).toMatchObject(refusal(413, "PAYLOAD_TOO_LARGE"));
    expect(
      await rest("PATCH", "/api/user", { body: {}, headers: { "content-type": "text/plain" } }),
    ).toMatchObject(refusal(415, "VALIDATION_FAILED"));
  });

  test.each([
    ["POST", "/health", "GET, HEAD"],
    ["DELETE", "/ready", "GET, HEAD"],
    ["PUT", "/metrics", "GET, HEAD"],
    ["GET", "/api/payment/webhook", "POST"],
    ["HEAD", "/api/payment/webhook", "POST"],
    ["PATCH", "/api/payment/webhook", "POST"],
  ])("returns 405 for %s %s, with the methods it has", async (method, path, allow) => {
    const answer = await fetch(`${server.url}${path}`, { method });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
    if (method !== "HEAD")
      expect(await answer.json()).toMatchObject({ success: false, statusCode: 405 });
  });

  test.each([
    "/Health",
    "/API/auth/google",
    "/api/Auth/google/callback",
    "/api/auth/Me",
    "/api/payment/WEBHOOK",
  ])("knows no %s: the case of a path counts", async (path) => {
    const answer = await fetch(`${server.url}${path}`, { redirect: "manual" });
    expect(answer.status).toBe(404);
  });

  test("ends sessions and deletes the account", async () => {
    const leaving = await server.signIn("surface-leaving@example.com");
    const token = leaving.accessToken;
    await server.signIn("surface-leaving@example.com");
    const { body } = await rest("GET", "/api/auth/sessions", { token });
    const sessions = body["sessions"] as { id: string; current: boolean }[];
    const other = sessions.find(({ current }) => !current);
    expect(await rest("DELETE", `/api/auth/sessions/${other?.id}`, { token })).toEqual({
      status: 200,
      body: { success: true },
    });
    expect(await rest("GET", "/api/user/export", { token })).toMatchObject({ status: 200 });
    expect(
      await rest("DELETE", "/api/user", { token, body: { confirmEmail: "wrong@example.com" } }),
    ).toMatchObject(refusal(400, "VALIDATION_FAILED"));
    expect(
      await rest("DELETE", "/api/user", {
        token,
        body: { confirmEmail: "surface-leaving@example.com" },
      }),
    ).toMatchObject({ status: 200 });
    expect(await rest("GET", "/api/auth/me", { token })).toMatchObject({ status: 401 });
    const everywhere = await server.signIn("surface-everywhere@example.com");
    expect(
      await rest("POST", "/api/auth/logout-all", { token: everywhere.accessToken }),
    ).toMatchObject({ status: 200, body: { success: true, revoked: 1 } });
  });
});

test("sells and manages a subscription", async () => {
  expect(await rest("GET", "/api/payment/subscription")).toEqual({
    status: 200,
    body: { success: true, subscription: null },
  });
  const { body } = await rest("GET", "/api/payment/plans");
  const [plan] = body["plans"] as { id: string }[];
  const planId = plan?.id ?? "";
  expect(await rest("POST", "/api/payment/subscribe", { body: { planId } })).toMatchObject({
    status: 200,
    body: { success: true, checkoutUrl: expect.stringMatching(/^http/) as string },
  });
  expect(await rest("POST", "/api/payment/portal")).toMatchObject({ status: 200 });
  expect(await rest("GET", "/api/payment/invoices")).toMatchObject({ status: 200 });
  expect(await rest("GET", `/api/payment/subscription/preview?planId=${planId}`)).toMatchObject(
    refusal(404, "NOT_FOUND"),
  );
  expect(
    await rest("POST", "/api/payment/subscription/change", {
      body: { planId, previewToken: "stale" },
    }),
  ).toMatchObject({ body: { success: false } });
  for (const action of ["cancel", "resume", "cancel-change"])
    expect(await rest("POST", `/api/payment/subscription/${action}`)).toMatchObject(
      refusal(404, "NOT_FOUND"),
    );
});

describe("when the server is about to stop", () => {
  const stopping = useTestApp({});

  test("streams end, and those that begin then are over at once, as is their connection", async () => {
    const { accessToken } = await stopping.signIn("stopping@example.com");
    const open = (path: string) =>
      fetch(`${stopping.url}${path}`, {
        headers: { authorization: `Bearer ${accessToken}`, origin: "http://localhost:3000" },
      });
    const answer = await open("/api/user/credits/events");
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("data: ")) text += (await reader?.read())?.value ?? "";
    expect(eventsOf(text)[0]).toMatchObject({ id: undefined, data: { held: 0 } });
    stopping.app.endStreams();
    while (!(await reader?.read())?.done);
    for (const path of ["/api/user/credits/events", "/api/trpc/credit.onChange"]) {
      const late = await open(path);
      // A browser's EventSource reconnects only after such an answer.
      expect([path, late.status]).toEqual([path, 200]);
      expect(late.headers.get("content-type")).toContain("text/event-stream");
      expect(late.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
      expect(late.headers.get("connection")).toBe("close");
      expect(eventsOf(await late.text())).toEqual([]);
    }
    expect((await open("/api/auth/me")).status).toBe(200);
  });
});
