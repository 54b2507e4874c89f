// Corruptions that tests plant in the rows of a busy user: one for each of the doctor's checks.
import type { Database } from "../../server/database/ports.ts";

/** Returns an UPDATE of the user's rows in one table; `and` narrows them down. */
const changeIn =
  (table: string, owner = "userId") =>
  (set: string, and = "TRUE") =>
    `UPDATE ${table} SET ${set} WHERE ${owner} = ? AND ${and}`;
const user = changeIn("users", "id");
const entries = changeIn("credit_logs");
const lots = changeIn("credit_grants");
const holds = changeIn("credit_holds");
const payments = changeIn("payments");
const keys = changeIn("idempotency_keys");
const noEntry = (seq: number) => `DELETE FROM credit_logs WHERE userId = ? AND seq = ${seq}`;
const NOT_THERE = "00000000-0000-4000-8000-000000000000";

/** Adds a subscription of the user, which the payment becomes part of. `returned`: the returnedCredits it records. */
const subscribed = (returned = 0) => [
  `INSERT INTO subscriptions (id, userId, planId, stripeSubscriptionId, stripeCustomerId, status,
     currentPeriodStart, currentPeriodEnd, returnedCredits, createdAt, updatedAt)
   SELECT id, id, 'plan_basic_month', id, id, 'active', createdAt, createdAt, ${returned}, createdAt, createdAt
   FROM users WHERE id = ?`,
  payments("subscriptionId = userId, paidAt = createdAt, total = 500, creditsWorth = 50"),
];

/** Each corruption: its name, a pattern for the violated invariant, and its statements, whose `?` are the user's id. */
const PLANTS: readonly (readonly [string, RegExp, ...string[]])[] = [
  ["a changed balance", /users\.credits is the sum/, user("credits = 1000")],
  ["a changed entry", /balance is the one before it/, entries("amount = -2", "seq = 2")],
  [
    "a changed entry and one that makes up for it",
    /balance is the one before it/,
    entries("amount = -2", "seq = 2"),
    entries("amount = -1", "seq = 3"),
  ],
  [
    "a changed entry that charges a settled hold again",
    /a charge names its settled hold/,
    entries(
      "sourceId = (SELECT id FROM credit_holds WHERE userId = ? AND status = 'SETTLED')",
      "seq = 4",
    ),
  ],
  [
    "a changed running balance at the end",
    /last entry's balance/,
    entries("balance = 7", "seq = 6"),
  ],
  ["a lost entry", /seq runs 1\.\.n/, noEntry(3)],
  ["a lost first entry", /seq runs 1\.\.n/, noEntry(1)],
  ["a lost last entry", /seq runs 1\.\.n/, noEntry(6)],
  ["more entries than the user has", /seq runs 1\.\.n/, user("ledgerSeq = 5")],
  [
    "an expiry into debt",
    /spend or an expiry never/,
    entries("type = 'EXPIRY', balance = -1", "seq = 2"),
  ],
  ["a changed lot", /open lots add up/, lots("remaining = 1", "isOpen = 1")],
  [
    "a lot closed with credits in it",
    /open exactly while something remains/,
    lots("isOpen = 0", "isOpen = 1"),
  ],
  ["a changed sum of holds", /heldCredits is the sum/, user("heldCredits = 3")],
  [
    "more held than there is",
    /never more held/,
    holds("amount = 900", "status = 'ACTIVE'"),
    user("heldCredits = 900"),
  ],
  ["a spend into debt", /spend or an expiry never/, entries("balance = -1", "seq = 2")],
  [
    "a settle into debt",
    /settle takes the balance below zero only/,
    entries("balance = -1", "sourceId IS NOT NULL AND type = 'USAGE'"),
  ],
  [
    "a charge of a hold that was released",
    /a charge names its settled hold/,
    holds("status = 'RELEASED', settledAmount = NULL", "status = 'SETTLED'"),
  ],
  [
    "a settled hold without its charge",
    /every settled hold was charged/,
    holds("status = 'SETTLED', settledAmount = 1", "status = 'RELEASED'"),
  ],
  [
    "a hold that ended and is active",
    /state and its end agree/,
    holds("endedAt = createdAt", "status = 'ACTIVE'"),
  ],
  [
    "a key that points at somebody else's entry",
    /points at its own entry/,
    keys(`answer = '{"t":"${NOT_THERE}","a":1,"c":1,"d":0,"q":2,"p":null}'`, "`key` = 'user:1'"),
  ],
  [
    "a key that points at another entry of its user",
    /points at its own entry/,
    keys(`answer = REPLACE(answer, '"q":2', '"q":3')`, "`key` = 'user:1'"),
  ],
  [
    "a key of a hold that is not there",
    /points at its own entry/,
    keys(`answer = '{"t":null,"h":"${NOT_THERE}","a":1,"c":1,"d":0,"q":2}'`, "`key` = 'svc:x:a'"),
  ],
  [
    "two keys for one entry",
    /no two keys share/,
    `INSERT INTO idempotency_keys (userId, \`key\`, inputHash, answer, createdAt)
     SELECT userId, 'user:other', inputHash, answer, createdAt FROM idempotency_keys
     WHERE userId = ? AND \`key\` = 'user:1'`,
  ],
  [
    "a payment without its grant",
    /a paid payment has exactly its credits/,
    `INSERT INTO payments (id, userId, amount, currency, status, creditsPurchased, createdAt, updatedAt)
     SELECT userId, userId, 500, 'usd', 'SUCCESS', 100, createdAt, updatedAt FROM payments WHERE userId = ?`,
  ],
  [
    "a grant of a payment that failed",
    /a paid payment has exactly its credits/,
    payments("status = 'FAILED'"),
  ],
  [
    "a grant without its payment",
    /every bought lot has its payment/,
    "DELETE FROM payments WHERE userId = ?",
  ],
  [
    "money that went back and took no credits",
    /what went back of a payment took its share/,
    payments("creditedAmount = 250"),
  ],
  [
    "money that went back of a payment a customer balance paid in part",
    /what went back of a payment took its share/,
    // 300 of 1,000 corresponds to 15 of 50 credits; of the 500 paid by card it would be 30.
    payments("total = 1000, disputedAmount = 300, disputedCredits = 14"),
  ],
  [
    "more credits than an invoice's lines buy",
    /never more than the lines of an invoice buy/,
    payments("creditsWorth = 49"),
  ],
  [
    "an invoice that gave back and took nothing of its subscription",
    /a subscription keeps at most what the money kept buys/,
    ...subscribed(),
    `INSERT INTO payments (id, userId, subscriptionId, amount, total, currency, status, creditsPurchased,
       creditsWorth, paidAt, createdAt, updatedAt)
     SELECT userId, userId, subscriptionId, 0, -200, 'usd', 'SUCCESS', 0, -20, paidAt, createdAt, updatedAt
     FROM payments WHERE userId = ?`,
  ],
  [
    "credits of a payment said to be taken that no entry took",
    /the entries of a payment leave what it may keep/,
    ...subscribed(),
    payments("refundedCredits = 10"),
  ],
  [
    "credits of a subscription said to be returned that no entry took",
    /what a subscription returned is what its entries took/,
    ...subscribed(7),
  ],
  ["wrong counts", /counted by type/, user("entryCounts = '{}'")],
  ["entries of nobody", /without its user: credit_logs/, "DELETE FROM users WHERE id = ?"],
];

export const DAMAGES = PLANTS.map(([what, named, ...statements]) => ({
  what,
  named,
  damage: ({ rawTransaction }: Database, userId: string) =>
    rawTransaction(async (session) => {
      for (const sql of statements)
        await session.execute(
          sql,
          Array.from(sql.matchAll(/\?/g), () => userId),
        );
    }),
}));
