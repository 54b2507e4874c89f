// One client's connections and bodies leave room for those of others.
import { once } from "node:events";
import { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { queryObjects } from "node:v8";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createBodyReader } from "../../../server/http/body-reader.ts";
import { createHttpServer } from "../../../server/http/server.ts";
import { closeAfterUnreadBody } from "../../../server/http/unread-body.ts";
import { isAppError } from "../../../server/lib/errors.ts";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { within } from "../../support/own-time.ts";
import { serve } from "../../support/ports.ts";

let server: TestApp | undefined;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.close();
  server = undefined;
});

const LIMITS = { total: 40, perAddress: 20, pipelined: 8 };

/** Opens a connection from one of this machine's loopback addresses. */
async function open(url: string, localAddress = "127.0.0.1"): Promise<Socket> {
  const { port } = new URL(url);
  const socket = connect({ host: "127.0.0.1", port: Number(port), localAddress });
  socket.on("error", () => undefined);
  sockets.push(socket);
  await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  return socket;
}

/** Returns the status of a request over a new connection from `localAddress`; 0 if it was cut. */
async function health(url: string, localAddress: string): Promise<number> {
  const socket = await open(url, localAddress);
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  socket.write("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve));
  return Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? 0);
}

/** Opens a connection whose request has reached the server but is never finished. */
async function unfinished(url: string): Promise<Socket> {
  const socket = await open(url);
  const length = "Content-Length: 2\r\nExpect: 100-continue";
  socket.write(
    `POST /api/trpc/auth.refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n\r\n{`,
  );
  // "Continue" shows that the request was seen.
  await new Promise((resolve) => socket.once("data", resolve));
  return socket;
}

const openOnes = () => sockets.filter((socket) => !socket.destroyed).length;

describe("idle connections", () => {
  test("of one client are held up to its share; its own newcomers and everybody else are served", async () => {
    server = await openTestApp({ http: { connections: LIMITS } });
    const { url } = server;
    for (let count = 0; count < 100; count += 1) await open(url);
    await expect.poll(openOnes, { timeout: 20_000 }).toBe(LIMITS.perAddress);
    expect(await health(url, "127.0.0.1")).toBe(200);
    expect(await health(url, "127.0.0.2")).toBe(200);
  });

  test("of many clients are held up to the total, the longest idle ones going first", async () => {
    server = await openTestApp({ http: { connections: LIMITS } });
    const { url } = server;
    const first = await open(url, "127.0.0.9");
    for (let count = 0; count < 100; count += 1) await open(url, `127.0.1.${1 + (count % 50)}`);
    await expect.poll(() => first.destroyed, { timeout: 20_000 }).toBe(true);
    await expect.poll(openOnes, { timeout: 20_000 }).toBe(LIMITS.total);
    expect(await health(url, "127.0.0.2")).toBe(200);
  });

  test("of a trusted proxy are everybody's and count in the total only", async () => {
    const http = { connections: LIMITS, trustProxy: "loopback" };
    server = await openTestApp({ http, env: { TRUST_PROXY: "loopback" } });
    for (let count = 0; count < 30; count += 1) await open(server.url);
    await pause(100);
    expect(openOnes()).toBe(30);
  });
});

test("a connection at work is not closed for a newcomer; the newcomer is", async () => {
  server = await openTestApp({ http: { connections: { ...LIMITS, perAddress: 3 } } });
  const { url } = server;
  const busy = [];
  for (let count = 0; count < 3; count += 1) busy.push(await unfinished(url));
  expect(await health(url, "127.0.0.1")).toBe(0);
  expect(await health(url, "127.0.0.2")).toBe(200);
  expect(busy.map((socket) => socket.destroyed)).toEqual([false, false, false]);
});

test("a connection that asks for too much at once is cut, and a stop does not wait for it", async () => {
  server = await openTestApp({ http: { connections: LIMITS } });
  const { url } = server;
  const socket = await open(url);
  socket.write("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500));
  await new Promise((resolve) => socket.once("close", resolve).resume());
  expect(await health(url, "127.0.0.1")).toBe(200);
  const waiting = await openTestApp();
  await unfinished(waiting.url);
  const closing = within(20_000, server.close);
  const stops = [closing.then(() => "at once"), waiting.close().then(() => "waiting")];
  server = undefined;
  expect(await Promise.race(stops)).toBe("at once");
  await Promise.all(stops);
});

test.each(["/api/trpc/credit.onChange", "/api/user/credits/events"])(
  "streams behind another one of their connection are over when their client leaves: %s",
  { timeout: 240_000 },
  async (path) => {
    server = await openTestApp({ http: { connections: LIMITS }, logLevel: "info" });
    const { url, logged } = server;
    const { accessToken } = await server.person();
    const request = `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${accessToken}\r\n\r\n`;
    const lines = () => logged().filter((line) => line["path"] === path).length;
    const openStreams = async () => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      return Number(/^http_streams_open (\d+)$/m.exec(metrics)?.[1]);
    };
    const visit = async () => {
      const before = lines();
      const socket = await open(url);
      socket.write(request.repeat(LIMITS.pipelined));
      await expect.poll(openStreams).toBe(LIMITS.pipelined);
      socket.resetAndDestroy();
      await expect.poll(lines).toBe(before + LIMITS.pipelined);
      expect(await openStreams()).toBe(0);
    };
    await visit();
    const held = () => queryObjects(IncomingMessage, { format: "count" });
    const before = held();
    for (let count = 0; count < 20; count += 1) await visit();
    await expect.poll(held, { timeout: 60_000, interval: 500 }).toBeLessThan(before + 40);
  },
);

test("a client that does not read its answer is cut off, and a newcomer has its place", async () => {
  const http = { connections: { ...LIMITS, total: 3 }, readTimeoutMs: 10_000 };
  server = await openTestApp({ http });
  const { url } = server;
  const silent = await Promise.all([open(url), open(url), open(url)]);
  const request = "GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const socket of silent) {
    socket.write(request.repeat(LIMITS.pipelined));
    // It is being answered now, with more than the system buffers for a client that has stopped reading.
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
  }
  expect(await health(url, "127.0.0.2")).toBe(0);
  await expect.poll(() => health(url, "127.0.0.2"), { timeout: 40_000 }).toBe(200);
});

test("a client that waits for its answer, however long, gets it", async () => {
  const own = createHttpServer(
    (_request, response) => setTimeout(() => response.end("late"), 800),
    {
      readTimeoutMs: 100,
    },
  );
  const socket = await open(`http://127.0.0.1:${await own.listen(0, "127.0.0.1")}`);
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const answer = await new Promise((resolve) =>
    socket.once("data", resolve).once("close", resolve),
  );
  expect(String(answer)).toMatch(/late/);
  await own.stop();
});

describe("bodies", () => {
  const head = (path: string, length: number, more = "") =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${more}Content-Length: ${length}\r\n\r\n`;
  const read = async (socket: Socket): Promise<string> => {
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await new Promise((resolve) => socket.once("close", resolve));
    return text;
  };
  const fresh = (hex: string) =>
    `Stripe-Signature: t=${Math.floor(Date.now() / 1000)},v1=${hex}\r\n`;
  const WEBHOOK = "/api/payment/webhook";

  test.each([
    ["/api/trpc/auth.refresh", "", 400],
    ["/api/auth/refresh", "", 400],
    [WEBHOOK, fresh("a".repeat(64)), 400],
  ])(
    "%s: one that stands still is given up before a request has to be over",
    async (path, more, status) => {
      server = await openTestApp();
      const socket = await open(server.url);
      socket.write(`${head(path, 5_000, more)}{`);
      const text = await within(20_000, () => read(socket));
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    },
  );

  test.each([
    ["/api/trpc/auth.refresh", ""],
    ["/api/auth/refresh", ""],
    [WEBHOOK, fresh("a".repeat(64))],
  ])(
    "%s: a client that goes on sending what is too large reads its refusal",
    async (path, more) => {
      server = await openTestApp();
      const socket = await open(server.url);
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.write(head(path, 10_000_000, more));
      // The refusal has arrived, but has not been read.
      await Promise.race([once(socket, "readable"), closed]);
      for (let piece = 0; piece < 20 && !socket.destroyed; piece += 1)
        if (!socket.write("x".repeat(50_000))) await Promise.race([once(socket, "drain"), closed]);
      expect(socket.destroyed).toBe(false);
      expect(await within(16_000, () => read(socket))).toMatch(/^HTTP\/1.1 413 /);
    },
  );

  test("what follows a refused one on its connection is not carried out, for nobody would read the answer", async () => {
    const paths: (string | undefined)[] = [];
    const own = createHttpServer((request, response) => {
      paths.push(request.url);
      closeAfterUnreadBody(request, response);
      response.end("refused");
    });
    const socket = await open(`http://127.0.0.1:${await own.listen(0, "127.0.0.1")}`);
    socket.write(head("/first", 10));
    const answer = await new Promise((resolve) => socket.once("data", resolve));
    expect(String(answer)).toMatch(/refused/);
    socket.write(`0123456789${head("/second", 1)}0`);
    await within(6_000, () => read(socket));
    expect(paths).toEqual(["/first"]);
    await own.stop();
  });

  test("unfinished ones hold a client's share, and the total of all clients, until they are given up", async () => {
    const SIZE = 60_000;
    let arrived = 0;
    const bodies = createBodyReader({
      clientAddress: (request) => request.socket.remoteAddress ?? "",
      limits: { totalBytes: 3.5 * SIZE, clientBytes: 1.5 * SIZE, idleMs: 60_000 },
    });
    const { url, close } = await serve((request, response) => {
      request.on("data", (chunk: Buffer) => (arrived += chunk.length));
      void bodies.bytes(request, SIZE).then(
        () => response.end(),
        (error: unknown) =>
          response
            .writeHead(isAppError(error) ? error.httpStatus : 500, { Connection: "close" })
            .end(),
      );
    });
    const begin = async (client: string) => {
      const socket = await open(url, client);
      socket.setTimeout(30_000, () => socket.destroy());
      socket.write(head("/", SIZE) + "x".repeat(SIZE - 1));
      return socket;
    };
    const hold = async (client: string) => {
      const before = arrived;
      const socket = await begin(client);
      await vi.waitFor(() => expect(arrived - before).toBe(SIZE - 1), 30_000);
      return socket;
    };
    const first = await hold("127.0.0.1");
    expect(await read(await begin("127.0.0.1"))).toMatch(/^HTTP\/1.1 503 /);
    await hold("127.0.0.2");
    await hold("127.0.0.3");
    expect(await read(await begin("127.0.0.4"))).toMatch(/^HTTP\/1.1 503 /);
    first.destroy();
    await vi.waitFor(async () => {
      const socket = await hold("127.0.0.4");
      expect(socket.destroyed).toBe(false);
    }, 30_000);
    await close();
  });

  test.each([
    ["no signature", ""],
    ["a signature of no form", "Stripe-Signature: nonsense\r\n"],
    ["a time without a signature", `Stripe-Signature: t=${Math.floor(Date.now() / 1000)}\r\n`],
    ["an old signature", `Stripe-Signature: t=1000000000,v1=${"a".repeat(64)}\r\n`],
    ["a signature from the future", `Stripe-Signature: t=9000000000,v1=${"a".repeat(64)}\r\n`],
  ])("the webhook refuses %s before it has seen the body", async (_name, more) => {
    server = await openTestApp();
    const socket = await open(server.url);
    socket.write(head(WEBHOOK, 1_000_000, more));
    // A body that does not arrive is abandoned after 5 s.
    const text = await within(4_500, () => read(socket));
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).toContain("signature");
  });
});
