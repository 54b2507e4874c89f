// The small pure parts of the ledger: shares, ids, the fair queue.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inputHash } from "../../../server/ledger/idempotency.ts";
import type { IdempotencyKey } from "../../../server/ledger/idempotency-key.ts";
import { newId } from "../../../server/lib/ids.ts";
import { createFairQueue } from "../../../server/ledger/writer/fair-queue.ts";
import { creditShare } from "../../../server/ledger/model/refund-share.ts";

describe("shares", () => {
  test("a refund takes floor(credits x refunded / paid), and partial refunds add up to the same", () => {
    const money = fc.integer({ min: 1, max: 2_000_000_000 });
    fc.assert(
      fc.property(money, money, fc.array(money, { maxLength: 6 }), (credits, paid, parts) => {
        let refunded = 0;
        let taken = 0;
        for (const part of parts) {
          refunded = Math.min(paid, refunded + part);
          // This refund takes the share of all refunds so far, less what was taken before.
          taken += creditShare(credits, refunded, paid) - taken;
          expect(taken).toBe(Number((BigInt(credits) * BigInt(refunded)) / BigInt(paid)));
        }
      }),
    );
  });

  test("is nothing of nothing, and never more than the whole", () => {
    expect(creditShare(500, 0, 2_000)).toBe(0);
    expect(creditShare(500, 2_000, 2_000)).toBe(500);
    expect(creditShare(500, 9_999, 2_000)).toBe(500);
    expect(creditShare(500, 100, 0)).toBe(0);
    expect(creditShare(100, 1, 3)).toBe(33);
  });
});

test("the order of keys in metadata says nothing, however deep; its values do", () => {
  const hashOf = (metadata: Record<string, unknown>) =>
    inputHash({
      kind: "spend",
      userId: "user",
      feature: "chat-pro",
      amountCredits: 5,
      priceVersion: "v",
      idempotencyKey: "key" as IdempotencyKey,
      metadata,
    });
  const deep = hashOf({ a: { x: 1, y: [{ p: 1, q: 2 }] }, b: null });
  expect(hashOf({ b: null, a: { y: [{ q: 2, p: 1 }], x: 1 } })).toBe(deep);
  expect(hashOf({ a: { x: 1, y: [{ p: 2, q: 1 }] }, b: null })).not.toBe(deep);
  expect(hashOf({ a: { x: 1 } })).not.toBe(hashOf({ a: [["x", 1]] }));
});

test("ids are UUID v7: unique, and in the order of time", () => {
  const ids = Array.from({ length: 5_000 }, (_, i) => newId(1_700_000_000_000 + i));
  expect(new Set(ids).size).toBe(5_000);
  expect([...ids].sort()).toEqual(ids);
  for (const id of ids.slice(0, 500))
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

describe("the fair queue", () => {
  const item = (userId: string, arrival: number) => ({ userId, arrival });
  const anyone = () => true;

  test("keeps each user's order, whatever is taken, put back and taken again", () => {
    const users = fc.constantFrom("a", "b", "c");
    const action = fc.oneof(
      users.map((userId) => ({ push: userId })),
      fc.record({ take: fc.integer({ min: 1, max: 5 }), back: users }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const queue = createFairQueue<{ userId: string; arrival: number }>();
        const seen = new Map<string, number>();
        let arrival = 0;
        let inside = 0;
        for (const one of actions) {
          if ("push" in one) {
            queue.push(item(one.push, (arrival += 1)));
            inside += 1;
            continue;
          }
          const taken = queue.take({ most: one.take, mayRun: anyone });
          expect(taken.length).toBe(Math.min(one.take, inside));
          const back = taken.filter(({ userId }) => userId === one.back);
          queue.putBack(back);
          for (const { userId, arrival: at } of taken) {
            if (userId === one.back) continue;
            expect(at).toBeGreaterThan(seen.get(userId) ?? 0);
            seen.set(userId, at);
            inside -= 1;
          }
          expect(queue.size).toBe(inside);
        }
      }),
    );
  });

  test("a flood of one user leaves room for the others", () => {
    const queue = createFairQueue<{ userId: string; arrival: number }>();
    for (let i = 1; i <= 1_000; i += 1) queue.push(item("flood", i));
    queue.push(item("a", 1_001));
    queue.push(item("b", 1_002));
    const taken = queue.take({ most: 10, mayRun: anyone });
    expect(taken.length).toBe(10);
    expect(taken.map(({ userId }) => userId)).toEqual(expect.arrayContaining(["a", "b"]));
  });

  test("takes nothing for fewer users than asked for, and half of the users where there are many", () => {
    const queue = createFairQueue<{ userId: string; arrival: number }>();
    for (const [index, userId] of ["a", "a", "b", "b", "c"].entries())
      queue.push(item(userId, index + 1));
    const mayRun = (userId: string) => userId !== "c";
    expect(queue.take({ most: 9, mayRun, minUsers: 3 })).toEqual([]);
    const half = queue.take({ most: 9, mayRun, minUsers: 2, halveAbove: 2 });
    expect(half).toEqual([item("a", 1), item("a", 2)]);
    expect(queue.take({ most: 9, mayRun, halveAbove: 2 })).toEqual([item("b", 3), item("b", 4)]);
    expect(queue.size).toBe(1);
  });

  test("takes nobody who may not run, and removes what is asked for", () => {
    const queue = createFairQueue<{ userId: string; arrival: number }>();
    for (const [index, userId] of ["a", "b", "a", "c"].entries())
      queue.push(item(userId, index + 1));
    expect(
      queue.take({ most: 9, mayRun: (userId) => userId !== "a" }).map((one) => one.arrival),
    ).toEqual([2, 4]);
    expect(queue.remove(({ arrival }) => arrival === 1).length).toBe(1);
    expect(queue.take({ most: 9, mayRun: anyone })).toEqual([item("a", 3)]);
    expect(queue.size).toBe(0);
  });
});
