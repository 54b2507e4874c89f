// Shows that totals and what is not in them yet are together exactly the rows, whatever was rolled up when, and how often.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rollCredits, rollUsage } from "../../../server/jobs/roll-ups.ts";
import { createCreditTotalsStore } from "../../../server/ledger/totals/credit-totals.store.ts";
import type { CreditTotalsStore } from "../../../server/ledger/totals/ports.ts";
import { createUsageTotalsStore } from "../../../server/ledger/totals/usage-totals.store.ts";
import { available } from "../../support/backend.ts";
import { useBackend } from "../../support/use-app.ts";

const never = new AbortController().signal;
const QUARTER_MS = 900_000;
const DAY_MS = 86_400_000;
const START = Date.UTC(2025, 0, 1);
const SPAN_MS = 40 * DAY_MS;

// On and beside the borders of quarters, where a mistake would show.
const moment = fc
  .record({
    quarter: fc.integer({ min: 0, max: SPAN_MS / QUARTER_MS }),
    off: fc.constantFrom(-1, 0, 1, 60_000),
  })
  .map(({ quarter, off }) => Math.max(0, quarter * QUARTER_MS + off));
const amount = fc.oneof(
  fc.integer({ min: -50, max: -1 }),
  fc.integer({ min: 0, max: 1_000_000_000 }),
);
/** Entries and calls that come, the clock, a roll-up that may be cut short. */
const step = fc.record({
  entries: fc.array(
    fc.record({
      user: fc.nat(2),
      amount,
      beforeMs: fc.nat(2 * QUARTER_MS),
      by: fc.constantFrom<Release>("this release", "an older one"),
    }),
    { maxLength: 6 },
  ),
  calls: fc.array(
    fc.record({ user: fc.nat(2), credits: fc.nat(9), beforeMs: fc.nat(QUARTER_MS) }),
    {
      maxLength: 6,
    },
  ),
  laterMs: moment,
  roll: fc.constantFrom("not", "once", "twice at once", "cut short"),
});

/** An older release, and who writes rows by hand, counts nothing: a job does it for them. */
type Release = "this release" | "an older one";

interface Entry {
  amount: number;
  type: string;
  atMs: number;
}

interface Call {
  userId: string;
  feature: string;
  credits: number;
  atMs: number;
}

const movementOf = ({ amount: credits, type, atMs }: Entry) => ({
  createdAt: new Date(atMs),
  id: randomUUID(),
  type,
  given: Math.max(0, credits),
  taken: Math.max(0, -credits),
});

const movedIn = (entries: readonly Entry[], fromMs: number, toMs: number) => {
  const inside = entries.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  const sum = (some: readonly Entry[]) => some.reduce((total, entry) => total + entry.amount, 0);
  return {
    granted: sum(inside.filter((entry) => entry.amount > 0)),
    spent: 0 - sum(inside.filter(({ type }) => type === "USAGE")),
  };
};

describe("totals", () => {
  const opened = useBackend(available);

  /** Users of its own, who stay: the totals are of all users together, so the model knows all entries there are. */
  const known: Entry[] = [];
  let clockMs = START;

  async function people(): Promise<{ id: string; seq: number }[]> {
    const users = Array.from({ length: 3 }, () => ({ id: randomUUID(), seq: 0 }));
    await opened.backend.database.models.user.createMany({
      data: users.map(({ id }) => ({
        id,
        email: `${id}@example.com`,
        createdAt: new Date(START),
      })),
    });
    return users;
  }

  /** Writes an entry as a ledger does whose clock need not agree with the others'. */
  async function enter(
    user: { id: string; seq: number },
    entry: Entry,
    by: Release = "an older one",
  ): Promise<void> {
    const { models } = opened.backend.database;
    const before = await models.user.findUniqueOrThrow({ where: { id: user.id } });
    user.seq += 1;
    await models.creditLog.create({
      data: {
        userId: user.id,
        seq: user.seq,
        id: randomUUID(),
        amount: entry.amount,
        balance: 0,
        type: entry.type,
        createdAt: new Date(entry.atMs),
      },
    });
    const isCounted = by === "this release" && before.rolledSeq === before.ledgerSeq;
    if (isCounted) await models.creditMovement.create({ data: movementOf(entry) });
    await models.user.update({
      where: { id: user.id },
      data: { ledgerSeq: user.seq, ...(isCounted ? { rolledSeq: user.seq } : {}) },
    });
    known.push(entry);
  }

  async function call(made: Call): Promise<void> {
    const { atMs, ...row } = made;
    await opened.backend.database.models.usageLog.create({
      data: { ...row, id: randomUUID(), createdAt: new Date(atMs) },
    });
  }

  /** A store that stops its roll-up after the first piece. */
  function breakingOff(store: CreditTotalsStore): [CreditTotalsStore, AbortSignal] {
    const abort = new AbortController();
    const breaking: CreditTotalsStore = {
      ...store,
      async rollMovements(beforeMs) {
        const rows = await store.rollMovements(beforeMs, 1);
        if (rows > 0) abort.abort();
        return rows;
      },
      async rollEntries(spans, ms) {
        abort.abort();
        return store.rollEntries(spans.slice(0, 1), ms);
      },
    };
    return [breaking, abort.signal];
  }

  test("movements and usage are what a plain scan adds up to", async () => {
    const { database } = opened.backend;
    const credits = createCreditTotalsStore(database);
    const usage = createUsageTotalsStore(database);
    const now = () => clockMs;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 4 }),
        moment,
        fc.integer({ min: 1, max: 31 * 96 }),
        fc.constantFrom(0, 1, 1_800_000, -2_700_000, -1_234),
        async (steps, fromOffMs, quarters, originOffMs) => {
          const users = await people();
          const calls: Call[] = [];
          for (const { entries, calls: made, laterMs, roll } of steps) {
            clockMs += Math.floor(laterMs / 8);
            for (const { user, amount: value, beforeMs, by } of entries) {
              const type = value < 0 ? "USAGE" : "PURCHASE";
              const entry = { amount: value, type, atMs: clockMs - beforeMs };
              await enter(users[user] ?? { id: "", seq: 0 }, entry, by);
            }
            for (const { user, credits: value, beforeMs } of made) {
              const userId = users[user]?.id ?? "";
              const feature = value % 2 === 0 ? "chat-pro" : "ppt-edit";
              const one = { userId, feature, credits: value, atMs: clockMs - beforeMs };
              await call(one);
              calls.push(one);
            }
            if (roll === "once") await rollCredits({ credits, now }, never);
            if (roll === "twice at once")
              await Promise.all([1, 2].map(() => rollCredits({ credits, now }, never)));
            if (roll === "cut short") {
              const [broken, signal] = breakingOff(credits);
              await rollCredits({ credits: broken, now }, signal);
            }
            if (roll !== "not") await rollUsage({ usage, now }, never);
          }
          for (const [from, to] of [
            [START + fromOffMs, START + fromOffMs + quarters * QUARTER_MS],
            [clockMs - 123_456, clockMs + 1],
            [0, clockMs + DAY_MS],
          ] as const) {
            const { fromMs, toMs, ...moved } = await credits.movements(from, to);
            expect(moved).toEqual(movedIn(known, fromMs, toMs));
            expect(fromMs).toBeLessThanOrEqual(from);
            expect(toMs).toBeGreaterThanOrEqual(to);
            expect(Math.max(from - fromMs, toMs - to)).toBeLessThan(QUARTER_MS);
          }
          const fromMs = START + fromOffMs;
          const originMs = fromMs - (fromMs % QUARTER_MS) + originOffMs - DAY_MS;
          const range = { originMs, fromMs, toMs: fromMs + quarters * QUARTER_MS };
          for (const { id } of users) {
            const [lines = []] = await usage.read(id, [range]);
            const expected = new Map<string, number[]>();
            for (const one of calls) {
              if (one.userId !== id || one.atMs < range.fromMs || one.atMs >= range.toMs) continue;
              const key = `${one.feature} ${Math.floor((Math.floor(one.atMs / 1000) - Math.floor(originMs / 1000)) / 86_400)}`;
              const [sum = 0, count = 0, first = one.atMs] = expected.get(key) ?? [];
              expected.set(key, [sum + one.credits, count + 1, Math.min(first, one.atMs)]);
            }
            const got = lines.map(
              (line) =>
                [
                  `${line.feature} ${line.day}`,
                  [line.credits, line.calls, line.firstAtMs],
                ] as const,
            );
            expect(new Map(got)).toEqual(expected);
            expect(got).toHaveLength(expected.size);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("what was rolled up is read from the totals, and only once", async () => {
    const { database } = opened.backend;
    const credits = createCreditTotalsStore(database);
    const [user] = await people();
    const atMs = clockMs;
    for (let n = 0; n < 40; n += 1)
      await enter(user ?? { id: "", seq: 0 }, { amount: -1, type: "USAGE", atMs: atMs + n });
    clockMs += DAY_MS;
    await rollCredits({ credits, now: () => clockMs }, never);
    const row = await database.models.user.findUniqueOrThrow({ where: { id: user?.id ?? "" } });
    expect(row.rolledSeq).toBe(40);
    expect(await credits.unrolled("", 10_000)).toEqual({ spans: [], last: null });
    const before = await credits.movements(0, clockMs);
    expect(before).toMatchObject(movedIn(known, 0, clockMs));
    expect(await rollCredits({ credits, now: () => clockMs }, never)).toEqual({
      movements: 0,
      entries: 0,
    });
    expect(await credits.movements(0, clockMs)).toEqual(before);
    expect(await credits.movements(0, clockMs, { allCounted: true })).toEqual(before);
    // The entries may go now: nothing of them is read again.
    await database.models.creditLog.deleteMany({ where: { userId: user?.id ?? "" } });
    expect(await credits.movements(0, clockMs)).toEqual(before);
  });

  test("an entry brought in by hand holds nothing up, however its date is spelled", async () => {
    const { database } = opened.backend;
    const credits = createCreditTotalsStore(database);
    const [user] = await people();
    const [one = { id: "", seq: 0 }] = [user];
    await enter(one, { amount: -7, type: "USAGE", atMs: clockMs });
    if (database.dialect === "sqlite")
      await database.transaction(({ sql }) =>
        sql.execute("UPDATE credit_logs SET createdAt = ? WHERE userId = ?", [
          new Date(clockMs).toISOString(),
          one.id,
        ]),
      );
    // Counted as a movement in its own quarter, added up in a later one.
    await rollCredits({ credits, now: () => clockMs }, never);
    expect(await credits.unrolled("", 10_000)).toEqual({ spans: [], last: null });
    clockMs += DAY_MS;
    await rollCredits({ credits, now: () => clockMs }, never);
    expect(await database.models.creditMovement.count()).toBe(0);
    expect(await credits.movements(0, clockMs)).toMatchObject(movedIn(known, 0, clockMs));
  });

  /** Somebody's first call, and what they used until now as it is read. */
  async function firstCall() {
    const usage = createUsageTotalsStore(opened.backend.database);
    const [user] = await people();
    const one = { userId: user?.id ?? "", feature: "chat-pro", credits: 3, atMs: clockMs };
    await call(one);
    const range = () => ({ originMs: START, fromMs: START, toMs: clockMs });
    const read = async () => (await usage.read(one.userId, [range()])).flat();
    return { usage, one, read };
  }

  test("a call that came after its time was counted is found by the next run", async () => {
    const { usage, one, read } = await firstCall();
    clockMs += 4 * 3_600_000;
    await rollUsage({ usage, now: () => clockMs }, never);
    expect(await read()).toMatchObject([{ credits: 3, calls: 1 }]);
    await call({ ...one, atMs: one.atMs + 1 });
    clockMs += 4 * 3_600_000;
    await rollUsage({ usage, now: () => clockMs }, never);
    expect(await read()).toMatchObject([{ credits: 6, calls: 2 }]);
  });

  test("a roll-up by a clock a year ahead hides no call from those after it", async () => {
    const { usage, one, read } = await firstCall();
    const countCalls = async () => (await read()).reduce((sum, { calls }) => sum + calls, 0);
    await rollUsage({ usage, now: () => clockMs + 365 * DAY_MS }, never);
    // Whoever is told only days later has more than the last day to count again.
    clockMs += 5 * DAY_MS;
    await call({ ...one, atMs: clockMs - 4 * DAY_MS });
    await rollUsage({ usage, now: () => clockMs }, never);
    expect(await usage.rolledTo()).toBeLessThan(clockMs);
    expect(await countCalls()).toBe(2);
    await call({ ...one, atMs: clockMs });
    clockMs += DAY_MS;
    expect(await countCalls()).toBe(3);
    await rollUsage({ usage, now: () => clockMs }, never);
    expect(await countCalls()).toBe(3);
  });
});
