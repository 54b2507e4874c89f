// How a metered run ends when no client is connected, on whichever instance; with limits short enough to wait for.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { RunEvent } from "../../../shared/src/ai.ts";
import type { RunTimings } from "../../../server/ai/ai.types.ts";
import { createClient } from "../../../shared/src/client.ts";
import { available } from "../../support/backend.ts";
import type { SignedIn } from "../../support/server.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { readRun } from "../../support/read-run.ts";
import { useTestApp } from "../../support/use-app.ts";
import { within } from "../../support/own-time.ts";
import { bearer } from "../../support/wire-call.ts";

const TIMINGS = {
  readerGraceMs: 3_000,
  maxRunMs: 60_000,
  keepOutputMs: 6_000,
  leaseMs: 3_000,
  tickMs: 200,
};

/** Opens an app with two instances for the current suite, and a user who starts runs. */
function useRuns(timings: Partial<RunTimings>) {
  const runTimings = { ...TIMINGS, ...timings };
  const server = useTestApp({ available, instances: 2, app: { runTimings } });
  let person: SignedIn;
  beforeEach(async () => {
    server.sandbox.model.control.reset();
    server.sandbox.model.control.setSpeed(20);
    person = await server.signIn(`${randomUUID()}@example.com`);
  });
  const token = () => person.accessToken;
  const client = () => server.client(token());
  const second = () => server.instances[1]?.url ?? "";
  return {
    server,
    client,
    token,
    second,
    start: () =>
      client().ai.start.mutate({
        feature: "chat-pro",
        messages: [{ role: "user", content: "Go on and on" }],
        idempotencyKey: randomUUID(),
      }),
    view: (runId: string) => client().ai.run.query({ runId }),
    row: (runId: string) => server.models.aiRun.findUniqueOrThrow({ where: { id: runId } }),
    read: (runId: string, leaveAfter?: number) =>
      readRun(server.url, token(), { runId }, leaveAfter),
    readElsewhere: (runId: string) => readRun(second(), token(), { runId }),
  };
}

describe("a run and its readers", () => {
  const { server, client, start, view, row, readElsewhere } = useRuns({});

  it("is stopped when nobody reads it, and costs what was produced", async () => {
    server.sandbox.model.control.setSpeed(5);
    const { runId } = await start();
    await expect
      .poll(async () => (await view(runId)).state, { timeout: 40_000 })
      .not.toBe("running");
    expect(await view(runId)).toMatchObject({ state: "stopped", charged: 1, code: null });
    expect(await client().credit.balance.query()).toMatchObject({ credits: 99, held: 0 });
  });

  it("goes on while somebody reads it on another instance", async () => {
    server.sandbox.model.control.setSpeed(5);
    const { runId } = await start();
    const reading = readElsewhere(runId);
    await sleep(TIMINGS.readerGraceMs * 2);
    expect((await row(runId)).state).toBe("running");
    const stopped = await client().ai.stop.mutate({ runId });
    expect((await reading).end).toEqual({ type: "end", ...stopped });
  });
});

describe("a run whose time is over", () => {
  const { server, start, read } = useRuns({
    readerGraceMs: 30_000,
    maxRunMs: 8_000,
    modelSilenceMs: 3_000,
  });

  it("is stopped when it has taken too long", async () => {
    server.sandbox.model.control.setSpeed(5);
    const { runId } = await start();
    const { end } = await read(runId);
    expect(end).toMatchObject({ outcome: "stopped", charged: 1 });
  });

  it.each([
    ["hang", 0],
    ["stall", 1],
  ] as const)("fails when the model falls silent (%s)", async (fault, charged) => {
    server.sandbox.model.control.misbehave({ fault });
    const { runId } = await start();
    const { end } = await read(runId);
    expect(end).toMatchObject({ outcome: "failed", charged, code: "AI_PROVIDER_ERROR" });
  });
});

describe("a run", () => {
  const { server, client, token, second, start, view, row, read, readElsewhere } = useRuns({
    readerGraceMs: 10_000,
  });

  it("is stopped when another instance is asked to", async () => {
    const { runId } = await start();
    const answer = await fetch(`${second()}/api/trpc/ai.stop`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token()}` },
      body: JSON.stringify({ runId }),
    });
    expect(await answer.json()).toMatchObject({ result: { data: { outcome: "stopped" } } });
    expect((await view(runId)).state).toBe("stopped");
  });

  it("is refused an event id beyond its last, whichever instance is asked", async () => {
    server.sandbox.model.control.setSpeed(5);
    const { runId } = await start();
    await read(runId, 2);
    for (const url of [server.url, second()]) {
      const input = { runId, lastEventId: `${runId}.900` };
      expect((await readRun(url, token(), input)).code, url).toBe("VALIDATION_FAILED");
    }
  });

  it("answers NOT_FOUND when its output has been kept for long enough", async () => {
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    const { runId } = await start();
    expect((await read(runId)).end).toMatchObject({ outcome: "completed" });
    for (const again of [read, readElsewhere])
      await expect
        .poll(async () => (await again(runId)).code, { timeout: 30_000, interval: 500 })
        .toBe("NOT_FOUND");
    expect((await view(runId)).state).toBe("completed");
  });

  it("goes on when its reader has signed out, and the reader's stream does not", async () => {
    server.sandbox.model.control.setSpeed(5);
    const { runId } = await start();
    const input = encodeURIComponent(JSON.stringify({ runId }));
    const headers = { authorization: `Bearer ${token()}` };
    const stream = await fetch(`${server.url}/api/trpc/ai.stream?input=${input}`, { headers });
    await client().auth.logoutAll.mutate();
    expect(await within(10_000, () => stream.text())).toMatch(/SESSION_REVOKED|UNAUTHENTICATED/);
    expect((await row(runId)).state).toBe("running");
  });

  it("reaches the typed client once, through a connection that is cut", async () => {
    server.sandbox.model.control.setSpeed(300);
    const proxy = await startTcpProxy("127.0.0.1", Number(new URL(server.url).port));
    const cut = createClient({
      url: `http://127.0.0.1:${proxy.port}/api/trpc`,
      cookies: false,
      getAccessToken: token,
    });
    const { runId } = await start();
    let cuts = 0;
    const events = await new Promise<RunEvent[]>((resolve, reject) => {
      const received: RunEvent[] = [];
      const subscription = cut.ai.stream.subscribe(
        { runId },
        {
          onData({ data }) {
            received.push(data);
            if (received.length % 10 === 0) {
              cuts += 1;
              proxy.refuse();
              proxy.restore();
            }
            if (data.type !== "end") return;
            subscription.unsubscribe();
            resolve(received);
          },
          onError: reject,
        },
      );
    });
    expect(cuts).toBeGreaterThan(1);
    await proxy.close();
    const text = events.map((event) => (event.type === "text" ? event.text : "")).join("");
    expect(text).toBe((await read(runId)).text);
    expect(events.at(-1)).toMatchObject({ type: "end", outcome: "completed", charged: 5 });
  });
});

describe("a reader who signs out while the model is silent", () => {
  const server = useTestApp({
    available,
    app: { runTimings: { ...TIMINGS, maxRunMs: 120_000, modelSilenceMs: 120_000 } },
  });

  it.each([
    [
      "tRPC",
      (runId: string) => `trpc/ai.stream?input=${encodeURIComponent(`{"runId":"${runId}"}`)}`,
    ],
    ["REST", (runId: string) => `ai/runs/${runId}/events`],
  ])(
    "is none any more, and the run is stopped when nobody else comes (%s)",
    async (_name, path) => {
      server.sandbox.model.control.reset();
      server.sandbox.model.control.misbehave({ fault: "stall" });
      const person = await server.signIn(`${randomUUID()}@example.com`);
      const { runId } = await person.client.ai.start.mutate({
        feature: "chat-pro",
        messages: [{ role: "user", content: "Say little" }],
        idempotencyKey: "silent",
      });
      const headers = bearer(person.accessToken);
      const answer = await fetch(`${server.url}/api/${path(runId)}`, { headers });
      await person.client.auth.logoutAll.mutate();
      expect(await answer.text()).toContain("SESSION_REVOKED");
      const run = () => server.models.aiRun.findUniqueOrThrow({ where: { id: runId } });
      await expect.poll(async () => (await run()).state, { timeout: 50_000 }).toBe("stopped");
    },
  );
});
