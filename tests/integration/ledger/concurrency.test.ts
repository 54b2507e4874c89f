// Promise 8: spending is exact under contention, across two instances, on both back ends.
import { beforeAll, describe, expect, test } from "vitest";
import { isAppError } from "../../../server/lib/errors.ts";
import type { Ledger } from "../../../server/ledger/ports.ts";
import { available } from "../../support/backend.ts";
import { anotherLedger } from "../../support/another-ledger.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { grant, reserve, spend } from "../../support/operations.ts";

const FULL = process.env["FULL"] === "1";

/** Returns the result, or the code of the refusal. */
async function tryIt(work: Promise<{ replayed: boolean }>): Promise<string> {
  try {
    return (await work).replayed ? "replayed" : "done";
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

describe("contention", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });
  let ledgers: [Ledger, Ledger];
  beforeAll(async () => {
    ledgers = [world.ledger, await anotherLedger(world)];
  });

  test("100 spends at once of a balance of 10 over two instances: 10 succeed", async () => {
    const userId = await world.createUser(10);
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        tryIt((i % 2 === 0 ? ledgers[0] : ledgers[1]).submit(spend(userId, `k${i}`))),
      ),
    );
    expect(tally(outcomes)).toEqual({ done: 10, INSUFFICIENT_CREDITS: 90 });
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("100 spends at once of a balance of 10: 10 succeed with transactions of callers in between, too", async () => {
    const userId = await world.createUser(10);
    const { database } = world.backend;
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        i % 4 === 0
          ? tryIt(
              database
                .transaction((tx) => world.ledger.applyIn(tx, [spend(userId, `t${i}`)]))
                .then(([result]) => result ?? { replayed: true }),
            )
          : tryIt(ledgers[i % 2 === 0 ? 0 : 1].submit(spend(userId, `t${i}`))),
      ),
    );
    expect(tally(outcomes)).toEqual({ done: 10, INSUFFICIENT_CREDITS: 30 });
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("spends with repeated keys take effect once each", { timeout: 600_000 }, async () => {
    const spends = FULL ? 50_000 : 2_000;
    const users = await Promise.all(Array.from({ length: 20 }, () => world.createUser(spends)));
    const calls = Array.from({ length: spends }, (_, i) => {
      const user = users[i % users.length] ?? "";
      // 30 % are sent more than once: 2 to 4 times in all.
      const times = i % 10 < 3 ? 2 + (i % 5) : 1;
      return Array.from({ length: times }, () => spend(user, `r${i}`, 1 + (i % 3)));
    }).flat();
    // Shuffled with a fixed seed: a replay may come before, together with or long after the first.
    let seed = 42;
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
    calls.sort(() => random() - 0.5);
    const words: string[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: 200 }, async (_, lane) => {
        while (next < calls.length) {
          const call = calls[next++];
          if (call !== undefined)
            words.push(await tryIt(ledgers[lane % 2 === 0 ? 0 : 1].submit(call)));
        }
      }),
    );
    const counts = tally(words);
    expect(counts["done"]).toBe(spends);
    expect(counts["replayed"]).toBe(calls.length - spends);
    expect(Object.keys(counts).length).toBe(2);
    if (!FULL) expect(await auditRows(world.models)).toEqual([]);
    const total = await world.models.creditLog.aggregate({
      where: { userId: { in: users }, type: "USAGE" },
      _sum: { amount: true },
      _count: true,
    });
    const wanted = Array.from({ length: spends }, (_, i) => 1 + (i % 3)).reduce((a, b) => a + b);
    expect(total._count).toBe(spends);
    expect(total._sum.amount).toBe(-wanted);
  });

  test("one hold, settled and released twenty times at once, ends once", async () => {
    const userId = await world.createUser(100);
    const hold = await world.ledger.submit(
      reserve(userId, "h", 40, { feature: null, priceVersion: null, ttlSeconds: 60 }),
    );
    const { holdId } = hold;
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        tryIt(
          ledgers[i % 2 === 0 ? 0 : 1].submit(
            i % 3 === 0
              ? { kind: "release", userId, holdId }
              : { kind: "settle", userId, holdId, amountCredits: i },
          ),
        ),
      ),
    );
    expect(tally(outcomes)).toEqual({ done: 1, HOLD_NOT_ACTIVE: 19 });
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("one grant key, asked for thirty times at once, grants once", async () => {
    const userId = await world.createUser();
    const other = await world.createUser();
    const paid = (to: string) => grant(to, `payment:${userId}`, 50);
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        tryIt(ledgers[i % 2 === 0 ? 0 : 1].submit(paid(userId))),
      ),
    );
    expect(tally(outcomes)).toEqual({ done: 1, replayed: 29 });
    expect(await tryIt(world.ledger.submit(paid(other)))).toBe("IDEMPOTENCY_CONFLICT");
    // Two users at the very same moment: only one of them succeeds.
    const race = { ...paid(userId), grantKey: `race:${userId}` };
    const raced = await Promise.all([
      tryIt(ledgers[0].submit(race)),
      tryIt(ledgers[1].submit({ ...race, userId: other })),
    ]);
    expect(raced.sort()).toEqual(["IDEMPOTENCY_CONFLICT", "done"]);
    expect(await auditRows(world.models)).toEqual([]);
  });
});
