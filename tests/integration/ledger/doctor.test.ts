// Shows that the doctor is content with a busy, healthy ledger, and finds and names every kind of damage.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runDoctor } from "../../../server/ledger/audit/audit.ts";
import { available } from "../../support/backend.ts";
import { DAMAGES } from "../../support/ledger-damages.ts";
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts";
import { rawKey } from "../../support/raw-key.ts";

const at = new Date();

describe("the doctor", () => {
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
    await models.subscription.deleteMany({ where });
    await models.user.deleteMany({ where: { id: userId } });
  });
});
