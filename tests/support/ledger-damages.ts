// The damages that tests plant in a busy user's rows: one for each question of the doctor's.
import { randomUUID } from "node:crypto";
import type { TestApp } from "./server.ts";

type Models = TestApp["backend"]["database"]["models"];
type Plant = (models: Models, userId: string) => Promise<unknown>;
type Data<Model extends "user" | "creditLog" | "creditGrant" | "creditHold" | "payment"> =
  NonNullable<Parameters<Models[Model]["updateMany"]>[0]>["data"];

const at = new Date();
const MADE = { createdAt: at, updatedAt: at };

const user =
  (data: Data<"user">): Plant =>
  (models, id) =>
    models.user.update({ where: { id }, data });
const entry =
  (seq: number, data: Data<"creditLog">): Plant =>
  (models, userId) =>
    models.creditLog.update({ where: { userId_seq: { userId, seq } }, data });
const noEntry =
  (seq: number): Plant =>
  (models, userId) =>
    models.creditLog.delete({ where: { userId_seq: { userId, seq } } });
const openLots =
  (data: Data<"creditGrant">): Plant =>
  (models, userId) =>
    models.creditGrant.updateMany({ where: { userId, isOpen: true }, data });
const holds =
  (status: "ACTIVE" | "SETTLED" | "RELEASED", data: Data<"creditHold">): Plant =>
  (models, userId) =>
    models.creditHold.updateMany({ where: { userId, status }, data });
const payments =
  (data: Data<"payment">): Plant =>
  (models, userId) =>
    models.payment.updateMany({ where: { userId }, data });
const answer =
  (key: string, told: object): Plant =>
  (models, userId) =>
    models.idempotencyKey.updateMany({
      where: { userId, key },
      data: { answer: JSON.stringify(told) },
    });
const keyOf = (models: Models, userId: string) =>
  models.idempotencyKey.findUniqueOrThrow({ where: { userId_key: { userId, key: "user:1" } } });
const inTurn =
  (...plants: Plant[]): Plant =>
  async (models, userId) => {
    for (const plant of plants) await plant(models, userId);
  };

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
      ...MADE,
    },
  });
  await payments({ subscriptionId: id, paidAt: at, total: 500, creditsWorth: 50 })(models, userId);
  return id;
}

/** One of each kind: what it is, part of the invariant's name, and how it is done. */
const PLANTS: readonly (readonly [string, RegExp, Plant])[] = [
  ["a changed balance", /users\.credits is the sum/, user({ credits: 1_000 })],
  ["a changed entry", /balance is the one before it/, entry(2, { amount: -2 })],
  [
    "a changed entry and one that makes up for it",
    /balance is the one before it/,
    inTurn(entry(2, { amount: -2 }), entry(3, { amount: -1 })),
  ],
  [
    "a changed entry that charges a settled hold again",
    /a charge names its settled hold/,
    async (models, userId) => {
      const where = { userId, status: "SETTLED" } as const;
      const { id } = await models.creditHold.findFirstOrThrow({ where });
      await entry(4, { sourceId: id })(models, userId);
    },
  ],
  ["a changed running balance at the end", /last entry's balance/, entry(6, { balance: 7 })],
  ["a lost entry", /seq runs 1\.\.n/, noEntry(3)],
  ["a lost first entry", /seq runs 1\.\.n/, noEntry(1)],
  ["a lost last entry", /seq runs 1\.\.n/, noEntry(6)],
  ["more entries than the user has", /seq runs 1\.\.n/, user({ ledgerSeq: 5 })],
  ["an expiry into debt", /spend or an expiry never/, entry(2, { type: "EXPIRY", balance: -1 })],
  ["a changed lot", /open lots add up/, openLots({ remaining: 1 })],
  [
    "a lot closed with credits in it",
    /open exactly while something remains/,
    openLots({ isOpen: false }),
  ],
  ["a changed sum of holds", /heldCredits is the sum/, user({ heldCredits: 3 })],
  [
    "more held than there is",
    /never more held/,
    inTurn(holds("ACTIVE", { amount: 900 }), user({ heldCredits: 900 })),
  ],
  ["a spend into debt", /spend or an expiry never/, entry(2, { balance: -1 })],
  [
    "a settle into debt",
    /settle takes the balance below zero only/,
    (models, userId) =>
      models.creditLog.updateMany({
        where: { userId, sourceId: { not: null }, type: "USAGE" },
        data: { balance: -1 },
      }),
  ],
  [
    "a charge of a hold that was released",
    /a charge names its settled hold/,
    holds("SETTLED", { status: "RELEASED", settledAmount: null }),
  ],
  [
    "a settled hold without its charge",
    /every settled hold was charged/,
    holds("RELEASED", { status: "SETTLED", settledAmount: 1 }),
  ],
  ["a hold that ended and is active", /state and its end agree/, holds("ACTIVE", { endedAt: at })],
  [
    "a key that points at somebody else's entry",
    /points at its own entry/,
    answer("user:1", { t: randomUUID(), a: 1, c: 1, d: 0, q: 2, p: null }),
  ],
  [
    "a key that points at another entry of its user",
    /points at its own entry/,
    async (models, userId) => {
      const told = JSON.parse((await keyOf(models, userId)).answer) as object;
      await answer("user:1", { ...told, q: 3 })(models, userId);
    },
  ],
  [
    "a key of a hold that is not there",
    /points at its own entry/,
    answer("svc:x:a", { t: null, h: randomUUID(), a: 1, c: 1, d: 0, q: 2 }),
  ],
  [
    "two keys for one entry",
    /no two keys share/,
    async (models, userId) =>
      models.idempotencyKey.create({
        data: { ...(await keyOf(models, userId)), key: "user:other" },
      }),
  ],
  [
    "a payment without its grant",
    /a paid payment has exactly its credits/,
    (models, userId) =>
      models.payment.create({
        data: {
          ...{ id: randomUUID(), userId, amount: 500, currency: "usd" },
          ...{ status: "SUCCESS", creditsPurchased: 100, ...MADE },
        },
      }),
  ],
  [
    "a grant of a payment that failed",
    /a paid payment has exactly its credits/,
    payments({ status: "FAILED" }),
  ],
  [
    "a grant without its payment",
    /every bought lot has its payment/,
    (models, userId) => models.payment.deleteMany({ where: { userId } }),
  ],
  [
    "money that went back and took no credits",
    /what went back of a payment took its share/,
    payments({ creditedAmount: 250 }),
  ],
  [
    "money that went back of a payment a customer balance paid in part",
    /what went back of a payment took its share/,
    // 300 of 1,000 is 15 of 50 credits; of the 500 from the card it would be 30.
    payments({ total: 1_000, disputedAmount: 300, disputedCredits: 14 }),
  ],
  [
    "more credits than an invoice's lines buy",
    /never more than the lines of an invoice buy/,
    payments({ creditsWorth: 49 }),
  ],
  [
    "an invoice that gave back and took nothing of its subscription",
    /a subscription keeps at most what the money kept buys/,
    async (models, userId) => {
      const subscriptionId = await subscribed(models, userId);
      await models.payment.create({
        data: {
          ...{ id: randomUUID(), userId, subscriptionId, amount: 0, total: -200, currency: "usd" },
          ...{ status: "SUCCESS", creditsPurchased: 0, creditsWorth: -20, paidAt: at, ...MADE },
        },
      });
    },
  ],
  [
    "credits of a payment said to be taken that no entry took",
    /the entries of a payment leave what it may keep/,
    inTurn(subscribed, payments({ refundedCredits: 10 })),
  ],
  [
    "credits of a subscription said to be returned that no entry took",
    /what a subscription returned is what its entries took/,
    (models, userId) => subscribed(models, userId, 7),
  ],
  ["wrong counts", /counted by type/, user({ entryCounts: "{}" })],
  [
    "entries of nobody",
    /without its user: credit_logs/,
    (models, id) => models.user.delete({ where: { id } }),
  ],
];

export const DAMAGES = PLANTS.map(([what, named, damage]) => ({ what, named, damage }));
