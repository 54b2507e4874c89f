// The `credit` procedures: spend, balance, history, usage, prices and live balances, on both back ends.
import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { creditRouter } from "../../../server/routers/credit.ts";
import { balanceKey } from "../../../server/ledger/balance-cache.ts";
import { createCallerFactory, toAppError } from "../../../server/trpc/trpc.ts";
import { FEATURE_TABLE, FEATURES } from "../../../shared/src/features.ts";
import { available } from "../../support/backend.ts";
import { anotherLedger, ledgerWith } from "../../support/another-ledger.ts";
import { contextOf } from "../../support/request-context.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { grant, reserve, spend } from "../../support/operations.ts";

const createCaller = createCallerFactory(creditRouter);

async function refusal(work: Promise<unknown>) {
  try {
    await work;
    return null;
  } catch (error) {
    const { code, details } = toAppError(error);
    return { code, ...details };
  }
}

describe("credits", () => {
  const world = useTestApp({ available, instances: 2, clock: createTestClock("stepping") });

  async function person(credits: number) {
    const userId = await world.createUser(credits);
    return { userId, caller: createCaller(contextOf(world, { userId })) };
  }

  test("a spend charges the feature's price once per key", async () => {
    const { userId, caller } = await person(20);
    const first = await caller.spend({ feature: "ppt-generate", idempotencyKey: "k1" });
    const { version } = await caller.costs();
    expect(first).toMatchObject({
      feature: "ppt-generate",
      charged: 10,
      balance: 10,
      priceVersion: version,
      replayed: false,
    });
    await caller.spend({ feature: "chat-flash", idempotencyKey: "k2" });
    const again = await caller.spend({ feature: "ppt-generate", idempotencyKey: "k1" });
    expect(again).toEqual({ ...first, replayed: true });
    expect(
      await refusal(caller.spend({ feature: "chat-pro", idempotencyKey: "k1" })),
    ).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    const usage = await world.models.usageLog.count({ where: { userId } });
    expect(usage).toBe(2);
  });

  test("a spend is refused with INSUFFICIENT_CREDITS, the shortfall and a package when credits are short", async () => {
    const { caller } = await person(3);
    const { models } = world;
    const small = await models.creditPackage.findFirstOrThrow({ orderBy: { credits: "asc" } });
    expect(await refusal(caller.spend({ feature: "ppt-generate", idempotencyKey: "k" }))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      required: 10,
      available: 3,
      shortfall: 7,
      suggestedPackageId: small.id,
    });
  });

  test.each([
    ["an unknown feature", "feature", { feature: "chat-ultra" }],
    ["an empty key", "idempotencyKey", { idempotencyKey: "" }],
    ["a key of 1 kB", "idempotencyKey", { idempotencyKey: "x".repeat(1_000) }],
    ["a fish for a key", "idempotencyKey", { idempotencyKey: "🐟" }],
    ["metadata over 4 kB", "metadata", { metadata: { a: "x".repeat(5_000) } }],
    ["prototype keys", "metadata", { metadata: JSON.parse('{"__proto__":1}') as object }],
    ["an amount of one's own", "", { amount: 0 }],
  ])("%s is a VALIDATION_FAILED", async (_, field, wrong) => {
    const { caller } = await person(20);
    const input = { feature: "chat-pro", idempotencyKey: "k", ...wrong };
    const error = await caller.spend(input as never).catch(toAppError);
    expect(error).toMatchObject({ code: "VALIDATION_FAILED" });
    const { fields } = (error as unknown as { details: { fields: object } }).details;
    expect(Object.keys(fields).some((path) => path.startsWith(field))).toBe(true);
    expect((await caller.balance()).credits).toBe(20);
  });

  test("the balance is never older than one's own write, on any instance", async () => {
    const { userId, caller } = await person(40);
    const other = world.instance(1).credit;
    for (let credits = 40; credits > 25; credits -= 1) {
      expect((await caller.balance()).credits).toBe(credits);
      expect((await other.balance(userId)).credits).toBe(credits);
      const service = credits % 2 === 0 ? world.credit : other;
      await service.spend(userId, { feature: "chat-flash", idempotencyKey: `k${credits}` });
    }
    const balance = await caller.balance();
    expect(balance).toMatchObject({ credits: 25, held: 0, available: 25 });
    expect(balance.grants).toMatchObject([{ source: "SIGNUP", remaining: 25, expiresAt: null }]);
  });

  test("the balance shows a spend when its server died before it told of it and the key is repeated", async () => {
    const { userId, caller } = await person(20);
    const { cache, pubsub } = world.backend;
    const dying = ledgerWith(world, {
      cache: { ...cache, set: () => Promise.resolve(false) },
      pubsub: { ...pubsub, publish: () => Promise.resolve() },
    });
    // As if seconds had passed since the credits arrived, so that the balance is cached again.
    await cache.delete(balanceKey(userId));
    expect((await caller.balance()).credits).toBe(20);
    await dying.submit(
      spend(userId, "user:k", 5, {
        feature: "chat-pro",
        priceVersion: (await caller.costs()).version,
      }),
    );
    const successor = world.instance(1).credit;
    const again = await successor.spend(userId, { feature: "chat-pro", idempotencyKey: "k" });
    expect(again).toMatchObject({ balance: 15, replayed: true });
    expect((await successor.balance(userId)).credits).toBe(15);
  });

  test("a balance shows no credits that have expired, and no dead hold, whatever the jobs do", async () => {
    const { userId, caller } = await person(5);
    await world.ledger.submit(
      grant(userId, `month:${userId}`, 20, {
        source: "SUBSCRIPTION",
        expiresAt: new Date(world.clock.now() + 60_000),
      }),
    );
    await world.ledger.submit(
      reserve(userId, "svc:x:1", 8, { feature: null, priceVersion: null, ttlSeconds: 90 }),
    );
    expect(await caller.balance()).toMatchObject({ credits: 25, held: 8, available: 17 });
    world.clock.aheadMs += 70 * 1_000;
    await world.ledger.changed([userId]);
    expect(await caller.balance()).toMatchObject({ credits: 13, held: 8, available: 5 });
    world.clock.aheadMs += 30 * 1_000;
    await world.ledger.changed([userId]);
    expect(await caller.balance()).toMatchObject({ credits: 5, held: 0, available: 5 });
  });

  test("history returns the same pages by cursor and by offset, and VALIDATION_FAILED for a forged cursor", async () => {
    const { caller } = await person(1_000);
    for (let n = 0; n < 23; n += 1)
      await caller.spend({ feature: "chat-flash", idempotencyKey: `k${n}` });
    const all = await caller.history({ limit: 100 });
    expect(all.total).toBe(24);
    expect(all.logs.map(({ seq }) => seq)).toEqual(Array.from({ length: 24 }, (_, i) => 24 - i));
    const byCursor: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await caller.history({ limit: 5, ...(cursor === undefined ? {} : { cursor }) });
      byCursor.push(...page.logs.map(({ seq }) => seq));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(byCursor).toEqual(all.logs.map(({ seq }) => seq));
    const offset = await caller.history({ limit: 5, offset: 10 });
    expect(offset.logs).toEqual(all.logs.slice(10, 15));
    const signup = await caller.history({ type: "SIGNUP" });
    expect(signup).toMatchObject({ total: 1, nextCursor: null, logs: [{ seq: 1, amount: 1_000 }] });
    const usage = await caller.history({ type: "USAGE", offset: 20, limit: 5 });
    expect([usage.total, usage.logs.length]).toEqual([23, 3]);
    expect((await caller.history({ offset: 1_000_000_000 })).logs).toEqual([]);
    // Skipping to the rows of one type walks the index, so the offset is limited.
    expect((await caller.history({ type: "USAGE", offset: 100_000 })).logs).toEqual([]);
    expect(await refusal(caller.history({ type: "USAGE", offset: 100_001 }))).toMatchObject({
      code: "VALIDATION_FAILED",
    });
    for (const forged of ["x", "c2VxOjA", Buffer.from("seq:99999999999").toString("base64url")])
      expect(await refusal(caller.history({ cursor: forged }))).toMatchObject({
        code: "VALIDATION_FAILED",
      });
  });

  test("usage returns sums by feature and by day in the caller's time zone", async () => {
    const { userId, caller } = await person(1_000);
    const { models } = world;
    const row = (iso: string, feature: string, credits: number) =>
      models.usageLog.create({
        data: { id: crypto.randomUUID(), userId, feature, credits, createdAt: new Date(iso) },
      });
    // New York's clocks go back on 2 November 2025, so its day lasts 25 hours, until 05:00 UTC on the 3rd.
    await row("2025-11-02T03:30:00.000Z", "chat-pro", 5);
    await row("2025-11-02T04:30:00.000Z", "chat-pro", 5);
    await row("2025-11-03T04:59:59.000Z", "ppt-edit", 7);
    await row("2025-11-03T05:00:00.000Z", "chat-pro", 5);
    const range = { from: "2025-11-01T00:00:00.000Z", to: "2025-11-04T00:00:00.000Z" };
    const usage = await caller.usage({ ...range, timeZone: "America/New_York" });
    expect(usage).toMatchObject({
      totalCredits: 22,
      byFeature: [
        { feature: "chat-pro", credits: 15, calls: 3 },
        { feature: "ppt-edit", credits: 7, calls: 1 },
      ],
      daily: [
        { date: "2025-11-01", credits: 5 },
        { date: "2025-11-02", credits: 12 },
        { date: "2025-11-03", credits: 5 },
      ],
    });
    // Dates are local whole days: 2 November from 04:00 UTC (still summer time) to 05:00 UTC on the 3rd.
    const secondOfNovember = { from: "2025-11-02", to: "2025-11-02", timeZone: "America/New_York" };
    expect((await caller.usage(secondOfNovember)).daily).toEqual([
      { date: "2025-11-02", credits: 12 },
    ]);
    expect((await caller.usage({ ...secondOfNovember, to: "2025-11-03" })).totalCredits).toBe(17);
    expect((await caller.usage(range)).daily).toEqual([
      { date: "2025-11-02", credits: 10 },
      { date: "2025-11-03", credits: 12 },
    ]);
    expect(await refusal(caller.usage({ timeZone: "Mars/Olympus" }))).toMatchObject({
      code: "VALIDATION_FAILED",
    });
    expect(await refusal(caller.usage({ ...range, to: range.from }))).toMatchObject({
      code: "VALIDATION_FAILED",
    });
  });

  test("live balances arrive at once and after every change on any instance; the 21st stream returns RATE_LIMITED", async () => {
    const { userId } = await person(50);
    // A separate process: without Redis it does not notify this one, which has to poll.
    const elsewhere = await anotherLedger(world);
    const stop = new AbortController();
    const stream = world.credit.onChange(userId, stop.signal);
    expect((await stream.next()).value).toEqual({ credits: 50, held: 0, available: 50, seq: 1 });
    await elsewhere.submit(spend(userId, "a", 5, { feature: "chat-pro" }));
    expect((await stream.next()).value).toMatchObject({ credits: 45, seq: 2 });
    await world.credit.spend(userId, { feature: "chat-pro", idempotencyKey: "b" });
    expect((await stream.next()).value).toMatchObject({ credits: 40, seq: 3 });
    const waiting = stream.next();
    stop.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });

    // A separate signal for each, as every request has its own.
    const callers = Array.from({ length: 21 }, () => new AbortController());
    const streams = callers.map(({ signal }) => world.credit.onChange(userId, signal));
    const codes = await Promise.all(streams.map((one) => refusal(one.next())));
    expect(codes.filter((one) => one?.code === "RATE_LIMITED").length).toBe(1);
    for (const caller of callers) caller.abort();
    await Promise.all(streams.map((one) => one.return()));
  });

  test("a live balance leaves nothing on its caller's signal when it is over, or was refused", async () => {
    const { userId } = await person(50);
    const { signal } = new AbortController();
    const streams = Array.from({ length: 20 }, () =>
      world.credit.onChange(userId, new AbortController().signal),
    );
    await Promise.all(streams.map((one) => one.next()));
    const refused = world.credit.onChange(userId, signal);
    expect(await refusal(refused.next())).toMatchObject({ code: "RATE_LIMITED" });
    expect(getEventListeners(signal, "abort")).toEqual([]);
    await Promise.all(streams.map((one) => one.return()));
    const stream = world.credit.onChange(userId, signal);
    expect((await stream.next()).value).toMatchObject({ credits: 50 });
    await stream.return();
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("the price table has a version that changes exactly when a price does", async () => {
    const { caller } = await person(0);
    const { features, version } = await caller.costs();
    expect(features.map(({ feature, credits }) => [feature, credits])).toEqual(
      FEATURES.map((feature) => [feature, FEATURE_TABLE[feature].defaultPriceCredits]),
    );
    expect(version).toMatch(/^[0-9a-f]{12}$/);
  });
});
