// How a metered run ends when nobody is there, on whichever instance; with bounds short enough to wait for.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { RunEvent } from "../../../shared/src/ai.ts";
import type { RunTimings } from "../../../server/ai/ai.types.ts";
import { scopedKey } from "../../../server/ledger/idempotency-key.ts";
import { createClient } from "../../../shared/src/client.ts";
import { available } from "../../support/backend.ts";
import { type SignedIn, openTestApp } from "../../support/server.ts";
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

/** An app of the suite at hand with two instances, and somebody who starts runs. */
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

describe("a server that stops", () => {
  it("settles its runs for what they have produced, and tells why", async () => {
    const server = await openTestApp();
    // Not so near its end that it is waited for.
    server.sandbox.model.control.setSpeed(5);
    const person = await server.signIn("stopping@example.com");
    const { runId } = await server.client(person.accessToken).ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: "Go on" }],
      idempotencyKey: "stopping",
    });
    const { models } = server.opened.backend.database;
    await readRun(server.url, person.accessToken, { runId }, 1);
    // Its time to end by itself is that of the requests in flight, which took theirs: nothing is left of it.
    server.app.endStreams();
    await sleep(2_000);
    await within(1_500, () => server.app.close());
    const run = await models.aiRun.findUniqueOrThrow({ where: { id: runId } });
    expect(run).toMatchObject({ state: "failed", charged: 1, code: "SERVICE_UNAVAILABLE" });
    expect(await models.creditHold.findFirst({ where: { status: "ACTIVE" } })).toBeNull();
    await server.close();
  });
});

describe("a server without a model", () => {
  it("lists none, and says so to whoever starts a run", async () => {
    const server = await openTestApp({ env: { AI_BASE_URL: "" } });
    const person = await server.signIn("nobody@example.com");
    const client = server.client(person.accessToken);
    expect(await client.ai.models.query()).toEqual({ models: [] });
    await expect(
      client.ai.start.mutate({
        feature: "chat-flash",
        messages: [{ role: "user", content: "Anybody there?" }],
        idempotencyKey: "none",
      }),
    ).rejects.toMatchObject({ data: { app: { code: "AI_PROVIDER_ERROR" } } });
    expect((await client.credit.balance.query()).held).toBe(0);
    await server.close();
  });
});

describe("a reader whose access token ends in the middle", () => {
  it("goes on with a renewed token and gets the text once", async () => {
    const server = await openTestApp({ env: { JWT_EXPIRES_IN: "2s" } });
    server.sandbox.model.control.setSpeed(60);
    const person = await server.signIn("short-token@example.com");
    const client = createClient({
      url: `${server.url}/api/trpc`,
      refreshToken: person.refreshToken,
    });
    const { runId } = await client.ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: "Longer than a token lives" }],
      idempotencyKey: "short-token",
    });
    const ids: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const subscription = client.ai.stream.subscribe(
        { runId },
        {
          onData({ id, data }) {
            ids.push(id);
            if (data.type !== "end") return;
            subscription.unsubscribe();
            resolve();
          },
          onError: reject,
        },
      );
    });
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.at(-1)).toBe(`${runId}.end`);
    expect(ids.at(-2)).toBe(`${runId}.${ids.length - 1}`);
    await server.close();
  });
});

describe("the job that ends abandoned runs", () => {
  it("leaves a run alone whose producer lives, and ends one whose producer does not, for every reader", async () => {
    const server = await openTestApp({ app: { runTimings: { tickMs: 1_000 } } });
    server.sandbox.model.control.setSpeed(10);
    const person = await server.signIn("reaped@example.com");
    const { runId } = await server.client(person.accessToken).ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: "Slowly" }],
      idempotencyKey: "reaped",
    });
    const { models } = server.opened.backend.database;
    const never = new AbortController().signal;
    const late = { leaseExpiresAt: new Date(0) };
    await models.aiRun.update({ where: { id: runId }, data: late });
    expect(await server.app.services.ai.endAbandoned(never)).toBe(0);
    const dead = { ...(await models.aiRun.findUniqueOrThrow({ where: { id: runId } })) };
    // A run that no process produces, under the hold of the living one.
    await server.app.services.ai.close();
    const hold = await server.app.ledger.submit({
      kind: "reserve",
      userId: person.userId,
      feature: "chat-pro",
      amountCredits: 5,
      priceVersion: "test",
      idempotencyKey: scopedKey("ai", "run_dead"),
      ttlSeconds: 600,
    });
    await models.aiRun.create({
      data: { ...dead, ...late, id: "run_dead", holdId: hold.holdId, producedCredits: 2 },
    });
    expect(await server.app.services.ai.endAbandoned(never)).toBe(1);
    expect(await models.aiRun.findUnique({ where: { id: "run_dead" } })).toMatchObject({
      state: "failed",
      charged: 2,
      code: "SERVICE_UNAVAILABLE",
    });
    // A reader may have received more than Redis, emptied meanwhile, has left of it.
    const { accessToken } = person;
    for (const lastEventId of [undefined, "run_dead.1", "run_dead.2", "run_dead.7"]) {
      const { end } = await readRun(server.url, accessToken, { runId: "run_dead", lastEventId });
      expect(end, lastEventId).toMatchObject({ outcome: "failed", charged: 2 });
    }
    const afterEnd = { runId: "run_dead", lastEventId: "run_dead.end" };
    expect((await readRun(server.url, accessToken, afterEnd)).events).toEqual([]);
    await server.close();
  });
});
