// Promise 13: SIGTERM under load. Readiness fails first, requests in flight finish, exit 0 within 10 s, no resets.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, realpathSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { delimiter, dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../bench/built.ts";
import { EMBEDDED } from "../support/databases.ts";
import { freeAddresses, urlsOf } from "../support/free-addresses.ts";
import { freePort } from "../support/ports.ts";
import { spawnServer, startStandIns } from "../support/process.ts";
import { signIn } from "../support/server.ts";
import { STOP_CLIENTS, stopUnderLoad } from "../support/stop-under-load.ts";
import { serverEnv } from "../support/server-env.ts";
import { untilSilent } from "../support/until.ts";
import { use } from "../support/use.ts";
import { bearer } from "../support/wire-call.ts";

const ROUNDS = process.env["FULL"] ? 50 : 2;

const opened = use(() => EMBEDDED.open());
let env: Record<string, string>;
beforeAll(async () => {
  await opened.backend.close();
  env = serverEnv({
    // Long enough for a test on a busy machine to observe readiness failing.
    SHUTDOWN_DELAY_MS: "1500",
    ...opened.env,
  });
});

test(`${ROUNDS} SIGTERMs under load break no request`, { timeout: ROUNDS * 120_000 }, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const server = spawnServer({ ...env, PORT: String(await freePort()) });
    await server.ready();
    const tally = await stopUnderLoad(server);
    expect(tally.broken, server.output()).toEqual([]);
    expect(tally.answered).toBeGreaterThan(STOP_CLIENTS);
    expect(tally.afterSignal).toBeGreaterThan(0);
  }
});

test("a request that takes its time is finished", async () => {
  const server = spawnServer({ ...env, PORT: String(await freePort()), SHUTDOWN_DELAY_MS: "0" });
  await server.ready();
  const outgoing = request(`${server.url}/api/trpc/auth.refresh`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "content-length": "2",
      expect: "100-continue",
    },
  });
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  outgoing.write("{");
  // "Continue": the request was seen. It stays in flight, because its body ends only after the server stops listening.
  await once(outgoing, "continue");
  server.child.kill("SIGTERM");
  await untilSilent(server.url);
  outgoing.end("}");
  const [answer] = await answered;
  answer.resume();
  expect(answer.headers.connection).toBe("close");
  expect(answer.statusCode).toBe(401);
  expect(await server.exited).toBe(0);
});

test("an open stream is ended in order, not cut", async () => {
  const standIns = await startStandIns(await freePort());
  const server = spawnServer({ ...env, ...standIns.env });
  await server.ready();
  const { accessToken } = await signIn(server.url, "stream@example.com");
  const answer = await fetch(`${server.url}/api/trpc/credit.onChange`, {
    headers: bearer(accessToken),
  });
  let text = "";
  const read = (async () => {
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
  })();
  while (!text.includes('"credits":100')) await new Promise((resolve) => setTimeout(resolve, 20));
  server.child.kill("SIGTERM");
  // Rejects if the connection breaks instead of ending.
  await read;
  expect(await server.exited).toBe(0);
  await standIns.sandbox.close();
});

test("a server whose log nobody reads any more answers on, and stops in time", async () => {
  const port = String(await freePort());
  const server = spawnServer({ ...env, PORT: port, LOG_LEVEL: "info", SHUTDOWN_DELAY_MS: "0" });
  await server.ready();
  server.child.stdout?.removeAllListeners("data").pause();
  // Twice what the pipe and its reader can buffer.
  const path = `/api/${"nothing".repeat(28)}`;
  for (let n = 0; n < 25; n += 1) {
    const answers = Array.from({ length: 50 }, () => fetch(`${server.url}${path}`));
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(404);
  }
  const stopped = once(server.child, "exit");
  const signalledAtMs = performance.now();
  server.child.kill("SIGTERM");
  expect(await stopped).toEqual([0, null]);
  expect(performance.now() - signalledAtMs).toBeLessThan(10_000);
});

test("started twice on one port, the second says so and ends with 1; the first goes on", async () => {
  const first = spawnServer({ ...env, PORT: String(await freePort()) });
  await first.ready();
  const { port } = new URL(first.url);
  const second = spawnServer({ ...env, PORT: port });
  expect(await second.exited).toBe(1);
  expect(second.output()).toContain(`Port ${port} is taken`);
  expect((await fetch(`${first.url}/health`)).status).toBe(200);
  first.child.kill("SIGINT");
  expect(await first.exited).toBe(0);
});

test("a bad environment is told in full, and the process ends with 1", async () => {
  const server = spawnServer({
    NODE_ENV: "production",
    PORT: "99999",
    JWT_SECRET: "changeme",
    CHAT_COST_PRO: "0",
  });
  expect(await server.exited).toBe(1);
  for (const name of [
    "PORT",
    "JWT_SECRET",
    "CHAT_COST_PRO",
    "REFRESH_TOKEN_SECRET",
    "GOOGLE_CLIENT_ID",
    "STRIPE_SECRET_KEY",
    "DATABASE_URL",
  ])
    expect(server.output()).toContain(name);
  expect(server.output()).not.toContain("changeme");
});

/** npm's own program: `npm test` passes its path in the environment; otherwise it is found on the PATH. */
function npmProgram(): string {
  const told = process.env["npm_execpath"];
  if (told !== undefined) return told;
  const folders = [dirname(process.execPath), ...(process.env["PATH"] ?? "").split(delimiter)];
  const found = folders.map((folder) => join(folder, "npm")).find((path) => existsSync(path));
  if (found === undefined) throw new Error("npm is not on the PATH.");
  return realpathSync(found);
}

describe("through npm", () => {
  const npm = npmProgram();
  const spawnNpm = async (script: string, more: Record<string, string> = {}) =>
    spawnServer(
      { HOME: process.env["HOME"] ?? "", ...env, PORT: String(await freePort()), ...more },
      [npm, "run", script],
    );
  beforeAll(() => {
    execFileSync(process.execPath, ["server/cli/build.mjs"], { cwd: ROOT });
  }, 120_000);

  test("npm start: SIGTERM under load breaks no request, and npm ends with the server's 0", async () => {
    const server = await spawnNpm("start");
    await server.ready();
    const tally = await stopUnderLoad(server);
    expect(tally.broken, server.output()).toEqual([]);
    expect(tally.afterSignal).toBeGreaterThan(0);
    await untilSilent(server.url, 0);
  });

  test("npm start: SIGINT ends the server in order", async () => {
    const server = await spawnNpm("start");
    await server.ready();
    server.child.kill("SIGINT");
    expect(await server.exited).toBe(0);
    await untilSilent(server.url, 0);
  });

  test("npm start: the server stops when npm is killed outright", async () => {
    const server = await spawnNpm("start");
    await server.ready();
    server.child.kill("SIGKILL");
    await untilSilent(server.url);
  });

  // SIGINT, as sent by Ctrl-C, is tested in tests/consumer/first-hour.test.ts.
  test("npm run dev: SIGTERM ends the API, the stand-ins and the frontend", async () => {
    const addresses = await freeAddresses();
    const server = await spawnNpm("dev", {
      ...addresses,
      NODE_ENV: "development",
      // Its parent kills it after 6 s.
      SHUTDOWN_DELAY_MS: "0",
      // Unset, so that it starts the sandboxes.
      GOOGLE_ISSUER: "",
      STRIPE_API_BASE: "",
      GOOGLE_CLIENT_ID: "",
      GOOGLE_CLIENT_SECRET: "",
      STRIPE_SECRET_KEY: "",
      STRIPE_WEBHOOK_SECRET: "",
    });
    await server.ready();
    server.child.kill("SIGTERM");
    await server.exited;
    for (const url of urlsOf(addresses)) await untilSilent(url);
  });
});
