// What happens to a run whose producer stops or is dead, to its readers, and to a run that is started without a model
// configured. Each server in these tests is embedded.
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { scopedKey } from "../../../server/ledger/idempotency-key.ts";
import { createClient } from "../../../shared/src/client.ts";
import { within } from "../../support/own-time.ts";
import { readRun } from "../../support/read-run.ts";
import { openTestApp } from "../../support/server.ts";

describe("a server that stops", () => {
  it("settles its runs for what they have produced, and tells why", async () => {
    const server = await openTestApp();
    // Too far from its end for the server to wait for it.
    server.sandbox.model.control.setSpeed(5);
    const person = await server.signIn("stopping@example.com");
    const { runId } = await server.client(person.accessToken).ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: "Go on" }],
      idempotencyKey: "stopping",
    });
    const { models } = server.opened.backend.database;
    await readRun(server.url, person.accessToken, { runId }, 1);
    // Requests in flight have used up the time that a run has to finish on its own.
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
    // A copy of the run that has no producer, with its own hold.
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
    // A reader may have received more than is left in Redis, which has been flushed since.
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
