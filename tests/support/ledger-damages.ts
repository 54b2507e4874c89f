// The damages that tests plant in a busy user's rows: one for each question of the doctor's.
import { randomUUID } from "node:crypto";
import type { TestApp } from "./server.ts";

type Models = TestApp["backend"]["database"]["models"];

/** One damage to the rows of a busy user, and what the doctor calls it. */
export interface Damage {
  what: string;
  /** Part of the invariant's name. */
  named: RegExp;
  damage(models: Models, userId: string): Promise<unknown>;
}

const at = new Date();

/** A subscription of the user, which the payment so far was for; `returnedCredits` as our row says. */
async function subscribed(models: Models, userId: string, returnedCredits = 0): Promise<string> {
  const id = randomUUID();
  await models.subscription.create({
    data: {
      id,
      userId,
      planId: "plan_basic_month",
      stripeSubscriptionId: `sub_${id}`,
      stripeCustomerId: `cus_${id}`,
      status: "active",
      currentPeriodStart: at,
      currentPeriodEnd: at,
      returnedCredits,
      createdAt: at,
      updatedAt: at,
    },
  });
  await models.payment.updateMany({
    where: { userId },
    data: { subscriptionId: id, paidAt: at, total: 500, creditsWorth: 50 },
  });
  return id;
}

/** One of each kind. */
export const DAMAGES: readonly Damage[] = [
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
    what: "a changed entry and one that makes up for it",
    named: /balance is the one before it/,
    damage: async (models, userId) => {
      for (const [seq, amount] of [
        [2, -2],
        [3, -1],
      ] as const)
        await models.creditLog.update({
          where: { userId_seq: { userId, seq } },
          data: { amount },
        });
    },
  },
  {
    what: "a changed entry that charges a settled hold again",
    named: /a charge names its settled hold/,
    damage: async (models, userId) => {
      const { id } = await models.creditHold.findFirstOrThrow({
        where: { userId, status: "SETTLED" },
      });
      await models.creditLog.update({
        where: { userId_seq: { userId, seq: 4 } },
        data: { sourceId: id },
      });
    },
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
    what: "a lost first entry",
    named: /seq runs 1\.\.n/,
    damage: (models, userId) =>
      models.creditLog.delete({ where: { userId_seq: { userId, seq: 1 } } }),
  },
  {
    what: "a lost last entry",
    named: /seq runs 1\.\.n/,
    damage: (models, userId) =>
      models.creditLog.delete({ where: { userId_seq: { userId, seq: 6 } } }),
  },
  {
    what: "more entries than the user has",
    named: /seq runs 1\.\.n/,
    damage: (models, id) => models.user.update({ where: { id }, data: { ledgerSeq: 5 } }),
  },
  {
    what: "an expiry into debt",
    named: /spend or an expiry never/,
    damage: (models, userId) =>
      models.creditLog.update({
        where: { userId_seq: { userId, seq: 2 } },
        data: { type: "EXPIRY", balance: -1 },
      }),
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
    what: "a key that points at another entry of its user",
    named: /points at its own entry/,
    damage: async (models, userId) => {
      const where = { userId_key: { userId, key: "user:1" } };
      const { answer } = await models.idempotencyKey.findUniqueOrThrow({ where });
      const moved = JSON.stringify({ ...JSON.parse(answer), q: 3 });
      await models.idempotencyKey.update({ where, data: { answer: moved } });
    },
  },
  {
    what: "a key of a hold that is not there",
    named: /points at its own entry/,
    damage: (models, userId) =>
      models.idempotencyKey.updateMany({
        where: { userId, key: "svc:x:a" },
        data: { answer: JSON.stringify({ t: null, h: randomUUID(), a: 1, c: 1, d: 0, q: 2 }) },
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
    what: "money that went back and took no credits",
    named: /what went back of a payment took its share/,
    damage: (models, userId) =>
      models.payment.updateMany({ where: { userId }, data: { creditedAmount: 250 } }),
  },
  {
    what: "money that went back of a payment a customer balance paid in part",
    named: /what went back of a payment took its share/,
    // 300 of 1,000 is 15 of 50 credits; of the 500 from the card it would be 30.
    damage: (models, userId) =>
      models.payment.updateMany({
        where: { userId },
        data: { total: 1_000, disputedAmount: 300, disputedCredits: 14 },
      }),
  },
  {
    what: "more credits than an invoice's lines buy",
    named: /never more than the lines of an invoice buy/,
    damage: (models, userId) =>
      models.payment.updateMany({ where: { userId }, data: { creditsWorth: 49 } }),
  },
  {
    what: "an invoice that gave back and took nothing of its subscription",
    named: /a subscription keeps at most what the money kept buys/,
    damage: async (models, userId) => {
      const subscriptionId = await subscribed(models, userId);
      await models.payment.create({
        data: {
          id: randomUUID(),
          userId,
          subscriptionId,
          amount: 0,
          total: -200,
          currency: "usd",
          status: "SUCCESS",
          creditsPurchased: 0,
          creditsWorth: -20,
          paidAt: at,
          createdAt: at,
          updatedAt: at,
        },
      });
    },
  },
  {
    what: "credits of a payment said to be taken that no entry took",
    named: /the entries of a payment leave what it may keep/,
    damage: async (models, userId) => {
      await subscribed(models, userId);
      await models.payment.updateMany({ where: { userId }, data: { refundedCredits: 10 } });
    },
  },
  {
    what: "credits of a subscription said to be returned that no entry took",
    named: /what a subscription returned is what its entries took/,
    damage: (models, userId) => subscribed(models, userId, 7),
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
