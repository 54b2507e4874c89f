// Random steps for the ledger's property tests, and their translation into ledger operations.
import fc from "fast-check";
import type { LedgerOperation } from "../../server/ledger/ports.ts";
import type { ModelStep } from "./ledger-model.ts";
import { grant, rawKey, reserve, spend } from "./operations.ts";

const amount = fc.integer({ min: 1, max: 20 });
const key = fc.integer({ min: 1, max: 60 }).map((n) => `k${n}`);
const lotKey = fc.integer({ min: 1, max: 30 }).map((n) => `g${n}`);
const newHold = fc.integer({ min: 1, max: 60 }).map((n) => `h${n}`);
/** "The hold before the last three": resolved by `steps`. */
const oldHold = fc.integer({ min: 0, max: 4 }).map((n) => `#${n}`);
const ttl = fc.integer({ min: 1, max: 90 });
const maybeTtl = fc.option(ttl, { freq: 3 });

/** A step. Numbers are small, so that keys repeat, balances run short, and lots expire while held. */
const step: fc.Arbitrary<ModelStep> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("grant" as const),
      key: lotKey,
      amount: fc.integer({ min: 1, max: 80 }),
      source: fc.constantFrom("PURCHASE" as const, "SUBSCRIPTION" as const),
      ttl: maybeTtl,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("spend" as const), key, amount }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("reserve" as const), key: newHold, amount, ttl }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      hold: oldHold,
      amount: fc.option(fc.integer({ min: 0, max: 30 }), { freq: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), hold: oldHold }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("takeBack" as const),
      key: key.map((k) => `t${k}`),
      lot: lotKey,
      amount: fc.integer({ min: 1, max: 40 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("adjust" as const),
      key: key.map((k) => `a${k}`),
      amount: fc.integer({ min: -20, max: 40 }).filter((n) => n !== 0),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      seconds: fc.integer({ min: 1, max: 30 }),
    }),
  },
);

/** A sequence of steps. Settles and releases refer to holds reserved earlier. */
export function steps(maxLength: number): fc.Arbitrary<ModelStep[]> {
  const run = fc.array(step, { minLength: 1, maxLength, size: "max" });
  return run.map((all) => {
    const reserved: string[] = [];
    return all.map((one) => {
      if (one.do === "reserve") reserved.push(one.key);
      if (one.do !== "settle" && one.do !== "release") return one;
      return { ...one, hold: reserved.at(-1 - Number(one.hold.slice(1))) ?? "none" };
    });
  });
}

/** Returns the operation of a step, or null for a wait. `holdId` maps a hold's name to the id the ledger assigned. */
export function operationOf(
  one: ModelStep,
  userId: string,
  nowMs: number,
  holdId: (name: string) => string,
): LedgerOperation | null {
  const expiresAt = "ttl" in one && one.ttl !== null ? new Date(nowMs + one.ttl * 1000) : null;
  switch (one.do) {
    case "wait":
      return null;
    case "expire":
      return { kind: "expireLots", userId };
    case "grant":
      return grant(userId, `${userId}:${one.key}`, one.amount, { source: one.source, expiresAt });
    case "spend":
      // The server sets the amount, so it is repeated in the metadata to become part of the replay-checked input.
      return spend(userId, one.key, one.amount, {
        feature: "chat-pro",
        metadata: { amount: one.amount },
      });
    case "reserve":
      return reserve(userId, one.key, one.amount, {
        feature: null,
        priceVersion: null,
        ttlSeconds: one.ttl,
      });
    case "settle":
      return {
        kind: "settle",
        userId,
        holdId: holdId(one.hold),
        ...(one.amount === null ? {} : { amountCredits: one.amount }),
      };
    case "release":
      return { kind: "release", userId, holdId: holdId(one.hold) };
    case "takeBack":
      return {
        kind: "takeBack",
        userId,
        amountCredits: one.amount,
        type: "REFUND",
        sourceId: one.lot,
        grantKey: `${userId}:${one.lot}`,
        idempotencyKey: rawKey(one.key),
        description: "test",
      };
    case "adjust":
      return {
        kind: "adjust",
        userId,
        amountCredits: one.amount,
        actorId: "admin",
        reason: "test",
        idempotencyKey: rawKey(one.key),
        expiresAt: null,
      };
  }
}
