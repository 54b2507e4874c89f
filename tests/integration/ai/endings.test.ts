// How a metered run ends when nobody is there, on whichever instance; with bounds short enough to wait for.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { RunEvent } from "../../../shared/src/ai.ts";
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
  maxRunMs: 8_000,
  modelSilenceMs: 1_500,
  keepOutputMs: 6_000,
  leaseMs: 3_000,
  tickMs: 200,
};

describe("the end of a run", () => {
  const server = useTestApp({ available, instances: 2, app: { runTimings: TIMINGS } });
  let person: SignedIn;
  beforeEach(async () => {
    server.sandbox.model.control.reset();
    server.sandbox.model.control.setSpeed(20);
    person = await server.signIn(`${randomUUID()}@example.com`);
  });

  const start = () =>
    server.client(person.accessToken).ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: "Go on and on" }],
      idempotencyKey: randomUUID(),
    });
  const view = (runId: string) => server.client(person.accessToken).ai.run.query({ runId });
  const ended = async (runId: string) => {
    for (let looks = 0; looks < 200; looks += 1) {
      const run = await view(runId);
      if (run.state !== "running") return run;
      await sleep(50);
    }
    throw new Error("the run did not end");
  };
  const second = () => server.instances[1]?.url ?? "";
  const balance = () => server.client(person.accessToken).credit.balance.query();

  it("is stopped when nobody reads it, and costs what was produced", async () => {
    const { runId } = await start();
    expect(await ended(runId)).toMatchObject({ state: "stopped", charged: 1, code: null });
    expect(await balance()).toMatchObject({ credits: 99, held: 0 });
  });

  it("goes on while somebody reads it on another instance", async () => {
    const { runId } = await start();
    const reading = readRun(second(), person.accessToken, { runId });
    await sleep(TIMINGS.readerGraceMs * 2);
    const run = await server.models.aiRun.findUniqueOrThrow({ where: { id: runId } });
    expect(run.state).toBe("running");
    const stopped = await server.client(person.accessToken).ai.stop.mutate({ runId });
    expect((await reading).end).toEqual({ type: "end", ...stopped });
  });

  it("is stopped from another instance", async () => {
    const { runId } = await start();
    const answer = await fetch(`${second()}/api/trpc/ai.stop`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${person.accessToken}`,
      },
      body: JSON.stringify({ runId }),
    });
    expect(await answer.json()).toMatchObject({ result: { data: { outcome: "stopped" } } });
    expect((await view(runId)).state).toBe("stopped");
  });

  it("comes when the run has taken too long", async () => {
    const { runId } = await start();
    const { end } = await readRun(server.url, person.accessToken, { runId });
    expect(end).toMatchObject({ outcome: "stopped", charged: 1 });
  });

  it.each([
    ["hang", 0],
    ["stall", 1],
  ] as const)("is a failure when the model falls silent (%s)", async (fault, charged) => {
    server.sandbox.model.control.misbehave({ fault });
    const { runId } = await start();
    const { end } = await readRun(server.url, person.accessToken, { runId });
    expect(end).toMatchObject({ outcome: "failed", charged, code: "AI_PROVIDER_ERROR" });
  });

  it("is kept for a while, then NOT_FOUND", async () => {
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    const { runId } = await start();
    await readRun(server.url, person.accessToken, { runId });
    await sleep(TIMINGS.keepOutputMs + 300);
    expect((await readRun(server.url, person.accessToken, { runId })).code).toBe("NOT_FOUND");
    expect((await readRun(second(), person.accessToken, { runId })).code).toBe("NOT_FOUND");
    expect((await view(runId)).state).toBe("completed");
  });

  it("leaves no reader behind after signing out", async () => {
    server.sandbox.model.control.setSpeed(5);
    const { runId } = await start();
    const reading = readRun(server.url, person.accessToken, { runId });
    await sleep(300);
    await server.client(person.accessToken).auth.logoutAll.mutate();
    const { code } = await within(1_500, () => reading);
    expect(["SESSION_REVOKED", "UNAUTHENTICATED"]).toContain(code);
    const run = await server.models.aiRun.findUniqueOrThrow({ where: { id: runId } });
    expect(run.state).toBe("running");
  });

  it("reaches the typed client once, through a connection that is cut", async () => {
    server.sandbox.model.control.setSpeed(300);
    const proxy = await startTcpProxy("127.0.0.1", Number(new URL(server.url).port));
    const client = createClient({
      url: `http://127.0.0.1:${proxy.port}/api/trpc`,
      cookies: false,
      getAccessToken: () => person.accessToken,
    });
    const { runId } = await start();
    let cuts = 0;
    const events = await new Promise<RunEvent[]>((resolve, reject) => {
      const received: RunEvent[] = [];
      const subscription = client.ai.stream.subscribe(
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
    const whole = await readRun(server.url, person.accessToken, { runId });
    expect(text).toBe(whole.text);
    expect(events.at(-1)).toMatchObject({ type: "end", outcome: "completed", charged: 5 });
  });
});

describe("a reader who signs out while the model is silent", () => {
  const server = useTestApp({
    available,
    app: { runTimings: { ...TIMINGS, maxRunMs: 60_000, modelSilenceMs: 60_000 } },
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
      await expect
        .poll(async () => (await run()).state, { timeout: TIMINGS.readerGraceMs * 3 })
        .toBe("stopped");
    },
  );
});

describe("a server that stops", () => {
  it("settles its runs for what they have produced, and tells why", async () => {
    const server = await openTestApp();
    server.sandbox.model.control.setSpeed(20);
    const person = await server.signIn("stopping@example.com");
    const { runId } = await server.client(person.accessToken).ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: "Go on" }],
      idempotencyKey: "stopping",
    });
    const { models } = server.opened.backend.database;
    await sleep(500);
    await server.app.services.ai.close();
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
    const server = await openTestApp();
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
