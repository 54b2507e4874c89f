// SIGTERM while pages follow streams, which they reopen as soon as those end: the shutdown waits for none of them.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../shared/src/client.ts";
import type { Sandbox } from "../../server/sandbox/src/sandbox.ts";
import { describeBackend, type OpenedBackend } from "../support/databases.ts";
import { freePort } from "../support/ports.ts";
import { spawnServer, startStandIns } from "../support/process.ts";
import { serverEnv } from "../support/server-env.ts";
import { signIn } from "../support/server.ts";
import { until } from "../support/until.ts";

const ROUNDS = process.env["FULL"] ? 25 : 5;

let opened: OpenedBackend;
let env: Record<string, string>;
let sandbox: Sandbox;
beforeAll(async () => {
  opened = await describeBackend("embedded", null, null).open();
  await opened.backend.close();
  const standIns = await startStandIns(await freePort());
  sandbox = standIns.sandbox;
  env = serverEnv({ ...opened.env, ...standIns.env, SHUTDOWN_DELAY_MS: "0" });
});
afterAll(async () => {
  await sandbox.close();
  await opened.close();
});

/** A server with a signed-in client. */
async function startServer() {
  const server = spawnServer(env);
  await server.ready();
  const { accessToken } = await signIn(server.url, "streams@example.com");
  const client = createClient({
    url: `${server.url}/api/trpc`,
    cookies: false,
    getAccessToken: () => accessToken,
  });
  return {
    client,
    /** Sends SIGTERM; resolves with how it ended, and after how many milliseconds. */
    async stop() {
      const signalledAtMs = performance.now();
      server.child.kill("SIGTERM");
      const code = await server.exited;
      return { code, ms: performance.now() - signalledAtMs, output: server.output() };
    },
  };
}

test("a page that follows its balance holds up no stop", { timeout: ROUNDS * 60_000 }, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const { client, stop } = await startServer();
    let received = 0;
    const live = client.credit.onChange.subscribe(undefined, { onData: () => (received += 1) });
    await until(() => received > 0);
    const { code, ms, output } = await stop();
    live.unsubscribe();
    expect(code, output).toBe(0);
    expect(ms).toBeLessThan(3_000);
  }
});

test("nor does one that follows a run, which is ended in order", async () => {
  sandbox.model.control.setSpeed(5);
  const { client, stop } = await startServer();
  const { runId } = await client.ai.start.mutate({
    feature: "chat-flash",
    messages: [{ role: "user", content: "Something long, please" }],
    idempotencyKey: crypto.randomUUID(),
  });
  let received = 0;
  const reader = client.ai.stream.subscribe({ runId }, { onData: () => (received += 1) });
  await until(() => received > 2);
  const { code, ms, output } = await stop();
  reader.unsubscribe();
  expect(code, output).toBe(0);
  // In addition to the shutdown itself, a run has two seconds to finish.
  expect(ms).toBeLessThan(6_000);
});
