// Bad input over tRPC and HTTP is refused properly: a 4xx with the documented code, nothing changed, no crash.
import { connect } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import type { SignedIn } from "../../support/server.ts";
import { sendRaw } from "./raw.ts";
import { useTestApp } from "../../support/use-app.ts";

const server = useTestApp({});
let person: SignedIn;
let other: SignedIn;

beforeAll(async () => {
  person = await server.signIn("person@example.com");
  other = await server.signIn("other@example.com");
});

async function post(path: string, body: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${server.url}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${person.accessToken}`,
      ...headers,
    },
    body,
  });
  return { status: answer.status, code: codeOf(await answer.text()), headers: answer.headers };
}

/** Returns the app code of an answer in either format. */
function codeOf(text: string): string | undefined {
  const body = JSON.parse(text) as {
    code?: string;
    error?: { data: { app: { code: string } } };
  };
  return body.error?.data.app.code ?? body.code;
}

async function balance(): Promise<number> {
  return (await person.client.credit.balance.query()).credits;
}

describe("bodies", () => {
  test.each([
    ["that are not JSON", "hello"],
    ["that are an array", "[]"],
    ["that are a string", '"x"'],
    ["that are null", "null"],
    [
      "with prototype keys",
      '{"__proto__":{"role":"ADMIN"},"feature":"chat-flash","idempotencyKey":"p"}',
    ],
    ["with a constructor", '{"constructor":{},"feature":"chat-flash","idempotencyKey":"p"}'],
    ["with an operator where a word belongs", '{"feature":{"not":"x"},"idempotencyKey":"p"}'],
    [
      "with an operator where the key belongs",
      '{"feature":"chat-flash","idempotencyKey":{"contains":""}}',
    ],
    ["with an unknown feature", '{"feature":"constructor","idempotencyKey":"p"}'],
    ["with an empty key", '{"feature":"chat-flash","idempotencyKey":""}'],
    [
      "with a 1 kB key",
      JSON.stringify({ feature: "chat-flash", idempotencyKey: "k".repeat(1024) }),
    ],
    ["with an emoji key", '{"feature":"chat-flash","idempotencyKey":"🙂"}'],
    [
      "with prototype keys in metadata",
      '{"feature":"chat-flash","idempotencyKey":"p","metadata":{"__proto__":"x"}}',
    ],
    [
      "with metadata over 4 kB",
      JSON.stringify({
        feature: "chat-flash",
        idempotencyKey: "p",
        metadata: { a: "x".repeat(5000) },
      }),
    ],
    ["nested 10,000 levels deep", `${"[".repeat(10_000)}${"]".repeat(10_000)}`],
    ["nested deep inside a known field", `{"feature":${"[".repeat(5_000)}${"]".repeat(5_000)}}`],
  ])("%s return VALIDATION_FAILED and cost nothing", async (_name, body) => {
    const before = await balance();
    expect(await post("/api/trpc/credit.spend", body)).toMatchObject({
      status: 400,
      code: "VALIDATION_FAILED",
    });
    expect(await balance()).toBe(before);
  });

  test.each(["/api/trpc/credit.spend", "/api/credit/spend"])(
    "of 1 MB return PAYLOAD_TOO_LARGE at %s",
    async (path) => {
      const answer = await post(path, JSON.stringify({ feature: "x".repeat(1_000_000) }));
      expect(answer).toMatchObject({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    },
  );

  test("of unknown length return PAYLOAD_TOO_LARGE when they pass the limit", async () => {
    const answer = await fetch(`${server.url}/api/trpc/credit.spend`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Blob([`"${"x".repeat(350_000)}"`]).stream(),
      duplex: "half",
    });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({
      error: {
        code: -32013,
        data: { app: { code: "PAYLOAD_TOO_LARGE", requestId: answer.headers.get("x-request-id") } },
      },
    });
  });

  test("answers 415 when the body is compressed", async () => {
    const answer = await post("/api/trpc/credit.spend", "{}", { "content-encoding": "gzip" });
    expect(answer).toMatchObject({ status: 415, code: "VALIDATION_FAILED" });
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/json; charset=utf-16",
    "text/json",
    "application/jsonx",
    "",
  ])("as %j: what a form on another site can send is refused", async (type) => {
    for (const path of ["/api/trpc/auth.logout", "/api/auth/logout"]) {
      const answer = await sendRaw(
        server.url,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${type === "" ? "" : `Content-Type: ${type}\r\n`}Content-Length: 2\r\n\r\n{}`,
      );
      expect(answer.status).toBe(415);
    }
  });
});

describe("numbers where a page is asked for", () => {
  test.each(["-1", "0", "1.5", "9007199254740992", '"1"', "1e21", "null", "1000000000", "[1]"])(
    "returns VALIDATION_FAILED over tRPC for limit %s",
    async (value) => {
      const input = encodeURIComponent(`{"limit":${value}}`);
      const answer = await fetch(`${server.url}/api/trpc/credit.history?input=${input}`, {
        headers: { authorization: `Bearer ${person.accessToken}` },
      });
      expect(answer.status).toBe(400);
      expect(codeOf(await answer.text())).toBe("VALIDATION_FAILED");
    },
  );

  test.each([
    "limit=-1",
    "limit=0",
    "limit=1.5",
    "limit=abc",
    "limit=1e9",
    "limit=101",
    "limit=1&limit=2",
    "offset=-1",
    "constructor=1",
    "__proto__=1",
    "limit[]=1",
  ])("returns VALIDATION_FAILED over REST for ?%s", async (query) => {
    const answer = await fetch(`${server.url}/api/user/credits/history?${query}`, {
      headers: { authorization: `Bearer ${person.accessToken}` },
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      success: false,
      code: "VALIDATION_FAILED",
      statusCode: 400,
    });
  });

  test.each(["AAAA", "eyJ9", "../../", "0", "null", "x".repeat(200)])(
    "returns VALIDATION_FAILED for the forged cursor %s",
    async (cursor) => {
      const input = encodeURIComponent(JSON.stringify({ cursor }));
      const answer = await fetch(`${server.url}/api/trpc/credit.history?input=${input}`, {
        headers: { authorization: `Bearer ${person.accessToken}` },
      });
      expect(answer.status).toBe(400);
      expect(codeOf(await answer.text())).toBe("VALIDATION_FAILED");
    },
  );
});

describe("batches", () => {
  test.each([
    [
      "over the limit",
      `${Array(11).fill("credit.costs").join(",")}?batch=1`,
      400,
      "BATCH_TOO_LARGE",
    ],
    ["far over the limit", `${Array(1000).fill("a.b").join(",")}?batch=1`, 400, "BATCH_TOO_LARGE"],
    ["of a query and a mutation", "credit.costs,auth.refresh?batch=1", 400, "VALIDATION_FAILED"],
  ])("%s are refused with 400 and the code that says why", async (_name, path, status, code) => {
    const answer = await fetch(`${server.url}/api/trpc/${path}`);
    expect(answer.status).toBe(status);
    expect(codeOf(await answer.text())).toBe(code);
  });

  test("one call over the limit without the batch flag is an unknown name", async () => {
    const answer = await fetch(`${server.url}/api/trpc/credit.costs,credit.costs`);
    expect(answer.status).toBe(404);
    expect(codeOf(await answer.text())).toBe("NOT_FOUND");
  });

  test("a mutation by GET says how it is called", async () => {
    const answer = await fetch(`${server.url}/api/trpc/auth.logout`);
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe("POST");
  });
});

describe("other people's things", () => {
  test("answers 404 when the session is somebody else's", async () => {
    const { sessions } = await other.client.auth.sessions.query();
    const [session] = sessions;
    const answer = await post(
      "/api/trpc/auth.revokeSession",
      JSON.stringify({ sessionId: session?.id }),
    );
    expect(answer).toMatchObject({ status: 404, code: "NOT_FOUND" });
    expect((await other.client.auth.me.query()).user.id).toBe(other.userId);
  });

  test("the same idempotency key is each person's own", async () => {
    const spend = { feature: "chat-flash" as const, idempotencyKey: "shared-key" };
    const mine = await person.client.credit.spend.mutate(spend);
    const theirs = await other.client.credit.spend.mutate(spend);
    expect(theirs.replayed).toBe(false);
    expect(theirs.transactionId).not.toBe(mine.transactionId);
  });

  test("an access token is no service key and no administrator", async () => {
    const body = JSON.stringify({ userId: other.userId, amount: 1, idempotencyKey: "x" });
    expect((await post("/api/trpc/service.reserve", body)).status).toBe(401);
    const answer = await fetch(`${server.url}/api/trpc/admin.users`, {
      headers: { authorization: `Bearer ${person.accessToken}` },
    });
    expect(answer.status).toBe(403);
  });
});

describe("requests", () => {
  test.each([
    "/api/trpc/credit.costs%zz",
    "/api/trpc/%",
    "/%zz",
    "/api/auth/%e0%a4%a",
    "/api/docs/%ff%",
  ])("returns 400 for the bad percent-encoding %s", async (path) => {
    const answer = await sendRaw(
      server.url,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(answer.status).toBe(400);
  });

  test.each([
    ["no Host", "GET /health HTTP/1.1\r\n\r\n", 400],
    ["no HTTP at all", "hello\r\n\r\n", 400],
    [
      "two lengths",
      "POST /api/trpc/auth.logout HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      400,
    ],
    [
      "length and chunks (smuggling)",
      "POST /api/trpc/auth.logout HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    [
      "headers of 40 kB",
      `GET /health HTTP/1.1\r\nHost: x\r\nX-Big: ${"a".repeat(40_000)}\r\n\r\n`,
      431,
    ],
    ["a path of 40 kB", `GET /${"a".repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ])("with %s are refused without the parser's own words", async (_name, text, status) => {
    const answer = await sendRaw(server.url, text);
    expect(answer.status).toBe(status);
    expect(answer.body).not.toMatch(/HPE_|node:|Error:/);
  });

  test.each(["/health", "/api/trpc/credit.costs", "/api/auth/config", "/api/docs"])(
    "%s by its whole address, as a proxy asks for it, is the same; whose name it bears means nothing",
    async (path) => {
      for (const host of ["http://x", "HTTP://evil.example:80", "https://x:8443"]) {
        const answer = await sendRaw(
          server.url,
          `GET ${host}${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
        expect(answer.status).toBe(200);
      }
    },
  );

  test.each(["/health", "/api/trpc/credit.costs", "/api/auth/me", "/api/payment/webhook", "/no"])(
    "returns 405 for TRACE %s, without its headers",
    async (path) => {
      const answer = await sendRaw(
        server.url,
        `TRACE ${path} HTTP/1.1\r\nHost: x\r\nCookie: refresh=secret\r\n\r\n`,
      );
      expect(answer.status).toBe(405);
      expect(answer.headers.get("allow")).toContain("GET");
      expect(answer.body).not.toContain("secret");
    },
  );

  test.each([
    ["CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["no Host", "GET /health HTTP/1.1\r\n\r\n", 400],
  ])("%s is refused in JSON, with the request id of the header", async (_name, text, status) => {
    const { headers, ...answer } = await sendRaw(server.url, text);
    const body = { success: false, statusCode: status, requestId: headers.get("x-request-id") };
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([status, body]);
  });

  test("an upgrade nobody offers is answered as if it had not been asked for", async () => {
    const answer = await sendRaw(
      server.url,
      "GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    expect(answer.status).toBe(200);
  });

  test("a client that has closed its half still gets its answer", async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.end("GET /api/trpc/credit.costs HTTP/1.1\r\nHost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("end", resolve));
    socket.destroy();
    expect(text).toMatch(/^HTTP\/1.1 200 /);
  });

  test("an unknown method at a known place says what is allowed", async () => {
    const answer = await fetch(`${server.url}/api/auth/me`, { method: "DELETE" });
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe("GET");
  });

  test("afterwards it still serves", async () => {
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });
});
