// Shows that the doctor is content with a busy, healthy ledger, and finds and names every kind of damage.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runDoctor } from "../../../server/ledger/audit/audit.ts";
import { availableBackends } from "../../support/databases.ts";
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts";
import { rawKey } from "../../support/raw-key.ts";

type Models = LedgerWorld["backend"]["database"]["models"];

interface Damage {
  what: string;
  /** Part of the invariant's name. */
  named: RegExp;
  damage(models: Models, userId: string): Promise<unknown>;
}

const at = new Date();

const DAMAGES: readonly Damage[] = [
  {
    what: "a changed balance",
    named: /users\.credits is the sum/,
    damage: (models, id) => models.user.update({ where: { id }, data: { credits: 1_000 } }),
  },
  {
    what: "a changed entry",
    named: /balance is the one before it/,
    damage: (models, userId) =>
      models.creditLog.update({ where: { userId_seq: { userId, seq: 2 } }, data: { amount: -2 } }),
  },
  {
    what: "a changed running balance at the end",
    named: /last entry's balance/,
    damage: (models, userId) =>
      models.creditLog.updateMany({ where: { userId, seq: 6 }, data: { balance: 7 } }),
  },
  {
    what: "a lost entry",
    named: /seq runs 1\.\.n/,
    damage: (models, userId) =>
      models.creditLog.delete({ where: { userId_seq: { userId, seq: 3 } } }),
  },
  {
    what: "a changed lot",
    named: /open lots add up/,
    damage: (models, userId) =>
      models.creditGrant.updateMany({ where: { userId, isOpen: true }, data: { remaining: 1 } }),
  },
  {
    what: "a lot closed with credits in it",
    named: /open exactly while something remains/,
    damage: (models, userId) =>
      models.creditGrant.updateMany({ where: { userId, isOpen: true }, data: { isOpen: false } }),
  },
  {
    what: "a changed sum of holds",
    named: /heldCredits is the sum/,
    damage: (models, id) => models.user.update({ where: { id }, data: { heldCredits: 3 } }),
  },
  {
    what: "more held than there is",
    named: /never more held/,
    damage: async (models, id) => {
      await models.creditHold.updateMany({
        where: { userId: id, status: "ACTIVE" },
        data: { amount: 900 },
      });
      await models.user.update({ where: { id }, data: { heldCredits: 900 } });
    },
  },
  {
    what: "a spend into debt",
    named: /spend or an expiry never/,
    damage: (models, userId) =>
      models.creditLog.update({ where: { userId_seq: { userId, seq: 2 } }, data: { balance: -1 } }),
  },
  {
    what: "a settle into debt",
    named: /settle takes the balance below zero only/,
    damage: (models, userId) =>
      models.creditLog.updateMany({
        where: { userId, sourceId: { not: null }, type: "USAGE" },
        data: { balance: -1 },
      }),
  },
  {
    what: "a charge of a hold that was released",
    named: /a charge names its settled hold/,
    damage: (models, userId) =>
      models.creditHold.updateMany({
        where: { userId, status: "SETTLED" },
        data: { status: "RELEASED", settledAmount: null },
      }),
  },
  {
    what: "a settled hold without its charge",
    named: /every settled hold was charged/,
    damage: (models, userId) =>
      models.creditHold.updateMany({
        where: { userId, status: "RELEASED" },
        data: { status: "SETTLED", settledAmount: 1 },
      }),
  },
  {
    what: "a hold that ended and is active",
    named: /state and its end agree/,
    damage: (models, userId) =>
      models.creditHold.updateMany({ where: { userId, status: "ACTIVE" }, data: { endedAt: at } }),
  },
  {
    what: "a key that points at somebody else's entry",
    named: /points at its own entry/,
    damage: (models, userId) =>
      models.idempotencyKey.updateMany({
        where: { userId, key: "user:1" },
        data: { answer: JSON.stringify({ t: randomUUID(), a: 1, c: 1, d: 0, q: 2, p: null }) },
      }),
  },
  {
    what: "two keys for one entry",
    named: /no two keys share/,
    damage: async (models, userId) => {
      const key = await models.idempotencyKey.findUniqueOrThrow({
        where: { userId_key: { userId, key: "user:1" } },
      });
      await models.idempotencyKey.create({ data: { ...key, key: "user:other" } });
    },
  },
  {
    what: "a payment without its grant",
    named: /a paid payment has exactly its credits/,
    damage: (models, userId) =>
      models.payment.create({
        data: {
          id: randomUUID(),
          userId,
          amount: 500,
          currency: "usd",
          status: "SUCCESS",
          creditsPurchased: 100,
          createdAt: at,
          updatedAt: at,
        },
      }),
  },
  {
    what: "a grant of a payment that failed",
    named: /a paid payment has exactly its credits/,
    damage: (models, userId) =>
      models.payment.updateMany({ where: { userId }, data: { status: "FAILED" } }),
  },
  {
    what: "a grant without its payment",
    named: /every bought lot has its payment/,
    damage: (models, userId) => models.payment.deleteMany({ where: { userId } }),
  },
  {
    what: "wrong counts",
    named: /counted by type/,
    damage: (models, id) => models.user.update({ where: { id }, data: { entryCounts: "{}" } }),
  },
  {
    what: "entries of nobody",
    named: /without its user: credit_logs/,
    damage: (models, id) => models.user.delete({ where: { id } }),
  },
];

describe.each(await availableBackends())("the doctor on $name", (available) => {
  let world: LedgerWorld;
  let userId: string;
  beforeAll(async () => {
    world = await openLedgerWorld(available);
  });
  afterAll(() => world.close());

  const diagnose = () => runDoctor({ database: world.backend.database, usersPerStep: 2 });

  /** One of everything: spends, holds that ended each way and one that did not, a payment, a refund of another user. */
  async function busyUser(): Promise<string> {
    const id = await world.user(100);
    const { ledger } = world;
    const hold = (key: string) =>
      ledger.submit({
        kind: "reserve",
        userId: id,
        feature: "chat-pro",
        amountCredits: 10,
        priceVersion: "v1",
        idempotencyKey: rawKey(`svc:x:${key}`),
        ttlSeconds: 600,
      });
    for (const n of [1, 2, 3])
      await ledger.submit({
        kind: "spend",
        userId: id,
        feature: "chat-flash",
        amountCredits: n,
        priceVersion: "v1",
        idempotencyKey: rawKey(`user:${n}`),
      });
    const [settled, released] = [await hold("a"), await hold("b"), await hold("c")];
    await ledger.submit({ kind: "settle", userId: id, holdId: settled.holdId, amountCredits: 4 });
    await ledger.submit({ kind: "release", userId: id, holdId: released.holdId });
    const paymentId = randomUUID();
    await world.backend.database.transaction(async (tx) => {
      await tx.models.payment.create({
        data: {
          id: paymentId,
          userId: id,
          amount: 500,
          currency: "usd",
          status: "SUCCESS",
          creditsPurchased: 50,
          createdAt: at,
          updatedAt: at,
        },
      });
      await ledger.applyIn(tx, [
        {
          kind: "grant",
          userId: id,
          amountCredits: 50,
          source: "PURCHASE",
          sourceId: paymentId,
          grantKey: `payment:${paymentId}`,
          expiresAt: null,
          description: "A package",
        },
      ]);
    });
    return id;
  }

  beforeEach(async () => {
    userId = await busyUser();
  });

  test("is content with a healthy ledger, cut holds and debt included", async () => {
    const poor = await world.user(10);
    await world.ledger.submit({
      kind: "reserve",
      userId: poor,
      feature: null,
      amountCredits: 10,
      priceVersion: null,
      idempotencyKey: rawKey("svc:x:1"),
      ttlSeconds: 600,
    });
    await world.ledger.submit({
      kind: "adjust",
      userId: poor,
      amountCredits: -25,
      actorId: "admin",
      reason: "Chargeback",
      idempotencyKey: rawKey("admin:1"),
      expiresAt: null,
    });
    const steps: number[] = [];
    const { database } = world.backend;
    const violations = await runDoctor({
      database,
      usersPerStep: 1,
      onProgress: ({ users }) => steps.push(users),
    });
    expect(violations).toEqual([]);
    expect(steps.at(-1)).toBe(await database.models.user.count());
  });

  test.each(DAMAGES)("finds $what and names it", async ({ named, damage }) => {
    expect(await diagnose()).toEqual([]);
    const { models } = world.backend.database;
    await damage(models, userId);
    const violations = await diagnose();
    expect(violations.map(({ invariant }) => invariant).join("\n")).toMatch(named);
    expect(new Set(violations.map((violation) => violation.userId))).toEqual(new Set([userId]));
    // Mended by taking everything of the user away, so that the next damage stands alone.
    const where = { userId };
    await models.creditLog.deleteMany({ where });
    await models.creditGrant.deleteMany({ where });
    await models.creditHold.deleteMany({ where });
    await models.idempotencyKey.deleteMany({ where });
    await models.payment.deleteMany({ where });
    await models.user.deleteMany({ where: { id: userId } });
  });
});
