// Shows usage and history against a plain recomputation, for any rows, range, time zone and page.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ENTRY_TYPES } from "../../../shared/src/credit.ts";
import { createCreditStore } from "../../../server/credit/credit.store.ts";
import { creditRouter } from "../../../server/routers/credit.ts";
import { createCallerFactory, toAppError } from "../../../server/trpc/trpc.ts";
import { available } from "../../support/backend.ts";
import { contextOf } from "../../support/request-context.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { grant } from "../../support/operations.ts";
import { beginning, wallDate, zone } from "../../support/time-zones.ts";

const createCaller = createCallerFactory(creditRouter);
const DAY_MS = 86_400_000;

const rowOf = fc.record({
  afterMs: fc.oneof(
    fc.integer({ min: -2 * DAY_MS, max: 370 * DAY_MS }),
    // On the borders of days, where a mistake would show.
    fc
      .record({ quarters: fc.integer({ min: 0, max: 366 * 96 }), off: fc.constantFrom(-1, 0, 1) })
      .map(({ quarters, off }) => quarters * 900_000 + off),
  ),
  feature: fc.constantFrom("chat-flash", "chat-pro", "ppt-edit"),
  credits: fc.integer({ min: 0, max: 50 }),
});

describe("reads of credits", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  const callerOf = (userId: string) => createCaller(contextOf(world, { userId }));

  async function use(userId: string, rows: { atMs: number; feature: string; credits: number }[]) {
    await world.models.usageLog.createMany({
      data: rows.map(({ atMs, ...row }) => ({
        ...row,
        id: randomUUID(),
        userId,
        createdAt: new Date(atMs),
      })),
    });
  }

  test("usage is what a plain recomputation adds up to, in any zone", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(rowOf, { maxLength: 60 }),
        zone,
        beginning,
        fc.integer({ min: 1, max: 366 * 24 * 4 }),
        async (drawn, timeZone, fromMs, quarters) => {
          const userId = await world.createUser(10);
          const toMs = fromMs + quarters * 900_000;
          const rows = drawn.map(({ afterMs, ...row }) => ({ ...row, atMs: fromMs + afterMs }));
          await use(userId, rows);
          const usage = await callerOf(userId).usage({
            from: new Date(fromMs).toISOString(),
            to: new Date(toMs).toISOString(),
            timeZone,
          });
          const daily = new Map<string, number>();
          const features = new Map<string, { credits: number; calls: number }>();
          let totalCredits = 0;
          for (const { atMs, feature, credits } of rows) {
            if (atMs < fromMs || atMs >= toMs) continue;
            const date = wallDate(timeZone, atMs);
            daily.set(date, (daily.get(date) ?? 0) + credits);
            const line = features.get(feature) ?? { credits: 0, calls: 0 };
            features.set(feature, { credits: line.credits + credits, calls: line.calls + 1 });
            totalCredits += credits;
          }
          expect(usage.totalCredits).toBe(totalCredits);
          expect(Object.fromEntries(usage.daily.map((day) => [day.date, day.credits]))).toEqual(
            Object.fromEntries(daily),
          );
          expect(usage.daily.map(({ date }) => date)).toEqual([...daily.keys()].toSorted());
          expect(
            Object.fromEntries(usage.byFeature.map(({ feature, ...line }) => [feature, line])),
          ).toEqual(Object.fromEntries(features));
        },
      ),
      { numRuns: 25 },
    );
  });

  test("a day's usage is one row of the database, however many calls it had", async () => {
    const userId = await world.createUser(10);
    const fromMs = Date.UTC(2026, 0, 1);
    const rows = Array.from({ length: 10 * 96 }, (_, quarter) => ({
      atMs: fromMs + quarter * 900_000,
      feature: "chat-flash",
      credits: 1,
    }));
    await use(userId, rows);
    const range = { originMs: fromMs, fromMs, toMs: fromMs + 10 * DAY_MS };
    const [lines = []] = await createCreditStore(world.backend.database).usage(userId, [range]);
    const days = lines.toSorted((a, b) => a.day - b.day);
    expect(days.map(({ day, credits, calls }) => [day, credits, calls])).toEqual(
      Array.from({ length: 10 }, (_, day) => [day, 96, 96]),
    );
    expect(Math.min(...lines.map(({ firstAtMs }) => firstAtMs))).toBe(fromMs);
  });

  test.each([
    ["a leap year", { from: "2024-01-01", to: "2024-12-31", timeZone: "UTC" }, true],
    [
      "a year with its clocks put back for good",
      { from: "2024-01-01", to: "2024-12-31", timeZone: "Asia/Almaty" },
      true,
    ],
    ["a day more", { from: "2024-01-01", to: "2025-01-01", timeZone: "UTC" }, false],
    ["the time before computers", { from: "0001-01-01", to: "0001-01-31" }, false],
    ["the end of time", { to: "9999-12-31" }, false],
  ])("usage accepts a year at most, and refuses dates far off: %s", async (_, input, isFine) => {
    const userId = await world.createUser(10);
    const code = await callerOf(userId)
      .usage(input)
      .then(
        () => null,
        (error: unknown) => toAppError(error).code,
      );
    expect(code).toBe(isFine ? null : "VALIDATION_FAILED");
  });

  test("history is the plain list of entries, cut anyhow", async () => {
    const userId = await world.createUser(1_000);
    const caller = callerOf(userId);
    const features = ["chat-flash", "chat-pro", "ppt-edit"] as const;
    for (let entry = 0; entry < 30; entry += 1)
      await (entry % 4 === 3
        ? world.ledger.submit(grant(userId, `grant:${userId}:${entry}`, 7))
        : caller.spend({
            feature: features[entry % 3] ?? "chat-pro",
            idempotencyKey: `k${entry}`,
          }));
    const all = await world.models.creditLog.findMany({
      where: { userId },
      orderBy: { seq: "desc" },
    });
    const type = fc.option(fc.constantFrom(...ENTRY_TYPES), { nil: undefined });
    const page = { limit: fc.integer({ min: 1, max: 100 }), offset: fc.nat({ max: 40 }), type };
    await fc.assert(
      fc.asyncProperty(fc.record(page), async ({ limit, offset, type }) => {
        const wanted = all.filter((entry) => type === undefined || entry.type === type);
        const filter = type === undefined ? {} : { type };
        const first = await caller.history({ ...filter, limit, offset });
        expect(first.total).toBe(wanted.length);
        const seen = first.logs.map(({ seq }) => seq);
        expect(seen).toEqual(wanted.slice(offset, offset + limit).map(({ seq }) => seq));
        let cursor = first.nextCursor;
        while (cursor !== null) {
          const next = await caller.history({ ...filter, limit, cursor });
          expect(next.logs.length).toBeGreaterThan(0);
          seen.push(...next.logs.map(({ seq }) => seq));
          cursor = next.nextCursor;
        }
        expect(seen).toEqual(wanted.slice(offset).map(({ seq }) => seq));
      }),
      { numRuns: 25 },
    );
  });

  test("a balance lists the 200 lots that are spent first", async () => {
    const userId = await world.createUser(10);
    const createdAt = new Date(world.clock.now());
    const lots = Array.from({ length: 260 }, (_, n) => ({
      id: `lot-${userId.slice(0, 8)}-${String(n).padStart(3, "0")}`,
      userId,
      amount: 2,
      remaining: 2,
      isOpen: true,
      source: n % 2 === 0 ? "PURCHASE" : "ADMIN_ADJUST",
      grantKey: `lots:${userId}:${n}`,
      expiresAt:
        n % 3 === 0 ? null : new Date(world.clock.now() + ((n * 37) % 260) * DAY_MS + DAY_MS),
      createdAt,
    }));
    await world.models.creditGrant.createMany({ data: lots });
    await world.models.user.update({
      where: { id: userId },
      data: { credits: 530 },
    });
    await world.ledger.changed([userId]);
    const { credits, grants } = await callerOf(userId).balance();
    expect(credits).toBe(530);
    const order = lots
      .map(
        (lot) =>
          [
            lot.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
            Number(lot.source === "PURCHASE"),
            lot.id,
          ] as const,
      )
      .toSorted((a, b) => (a[0] === b[0] ? a[1] - b[1] || (a[2] < b[2] ? -1 : 1) : a[0] - b[0]));
    expect(grants.length).toBe(200);
    const mine = grants.filter(({ source }) => source !== "SIGNUP").map(({ id }) => id);
    expect(mine).toEqual(order.slice(0, mine.length).map(([, , id]) => id));
  });
});
