// Credits follow the money when it is returned through invoice lines: portal, merchant, quantity, proration.
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

describe("kept money", () => {
  const world = useShop({ available, clock: createTestClock("frozen") });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);
  const price = new Map<string, string>();

  beforeAll(async () => {
    await world.payment.syncCatalog();
    for (const { id, tier, interval } of on.plans)
      price.set(`${tier} ${interval}`, await merchant.priceOf(id));
  });
  // So that no subscription renews during another test.
  afterEach(async () => {
    const live = await world.models.subscription.findMany({ where: { liveKey: { not: null } } });
    for (const { userId } of live) await world.payment.endSubscription(userId);
    await world.settled();
  });

  const priceOf = (tier: string, interval = "month") => price.get(`${tier} ${interval}`) ?? "";
  /** Credits granted by plans and not taken back. */
  const kept = async (userId: string): Promise<number> => {
    const { _sum } = await world.models.creditLog.aggregate({
      where: { userId, type: { in: ["SUBSCRIPTION", "REFUND", "DISPUTE", "DISPUTE_REVERSAL"] } },
      _sum: { amount: true },
    });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
    return _sum.amount ?? 0;
  };

  it("gives no more than the money buys when plans are switched there and back in the portal", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const id = await on.stripeIdOf(userId);
    for (const round of [1, 2, 3]) {
      await merchant.change(id, { price: priceOf("TEAM") });
      expect(await kept(userId), `round ${round}`).toBe(5_000);
      await merchant.change(id, { price: priceOf("BASIC") });
      expect(await kept(userId), `round ${round}`).toBe(500);
    }
    // The balance of $40 pays for the next four months: each grants its credits, none grants more. Renewals are drafts
    // for an hour.
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await kept(userId)).toBe(1_000);
  });

  it("follows a quantity of 5, 1, 5, 1", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const id = await on.stripeIdOf(userId);
    for (const quantity of [5, 1, 5, 1]) {
      await merchant.change(id, { quantity });
      expect(await kept(userId)).toBe(500 * quantity);
      expect(await on.state(userId)).toMatchObject({
        credits: 500 * quantity,
        price: 999 * quantity,
      });
    }
  });

  it("takes the unused part of a plan back when the merchant moves it down with prorations", async () => {
    const userId = await on.subscriber("TEAM", "month");
    const id = await on.stripeIdOf(userId);
    await merchant.change(id, { price: priceOf("BASIC") }, "create_prorations");
    // Nothing has been returned yet: the lines wait for the next invoice.
    expect(await kept(userId)).toBe(5_000);
    // Renewals are drafts for an hour.
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await kept(userId)).toBe(5_000 - 4_500 + 500);
  });

  it("follows a year that becomes a smaller year, month by month", async () => {
    const userId = await on.subscriber("TEAM", "year");
    const id = await on.stripeIdOf(userId);
    await merchant.change(id, { price: priceOf("BASIC", "year") });
    expect(await kept(userId)).toBe(500);
    for (let months = 2; months <= 4; months += 1) {
      world.travel({ months: 1 });
      await world.payment.grantMonthly();
      expect(await kept(userId), `after ${months} months`).toBe(500 * months);
    }
  });

  it("follows a year that becomes a month, and back", async () => {
    const userId = await on.subscriber("BASIC", "year");
    const id = await on.stripeIdOf(userId);
    await merchant.change(id, { price: priceOf("TEAM") });
    expect(await kept(userId)).toBe(5_000);
    await merchant.change(id, { price: priceOf("BASIC", "year") });
    // The TEAM month was returned in full; the credits it granted are made up from the year, whose money is kept.
    expect(await kept(userId)).toBeLessThanOrEqual(6_000);
    for (let months = 2; months <= 12; months += 1) {
      world.travel({ months: 1 });
      await world.payment.grantMonthly();
      expect(await kept(userId)).toBeLessThanOrEqual(6_000);
    }
    expect(await kept(userId)).toBe(6_000);
  });

  it("takes the share of a credit note, wherever its money went", async () => {
    const userId = await on.subscriber("TEAM", "month");
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
    const note = async (to: Record<string, string>) => {
      await merchant.post("credit_notes", {
        invoice: payment.stripeInvoiceId ?? "",
        ...to,
      });
      await world.settled();
    };
    await note({ amount: "1000", credit_amount: "1000" });
    expect(await kept(userId)).toBe(5_000 - 1_000);
    await note({ amount: "1000", refund_amount: "1000" });
    expect(await kept(userId)).toBe(5_000 - 2_000);
    await note({ amount: "999", out_of_band_amount: "999" });
    expect(await kept(userId)).toBe(5_000 - 2_999);
    expect(await world.payment.history(userId, { limit: 1 })).toMatchObject({
      payments: [{ status: "PARTIALLY_REFUNDED" }],
    });
    // An administrator can refund no more than is left.
    await world.payment.refundPayment({
      paymentId: payment.id,
      idempotencyKey: "rest",
      actorId: "a",
    });
    await world.settled();
    expect(await kept(userId)).toBe(0);
  });

  it("takes a refund of the upgrade and the unused time of the same upgrade one by one", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const id = await on.stripeIdOf(userId);
    await merchant.change(id, { price: priceOf("TEAM") });
    await merchant.change(id, { price: priceOf("BASIC") });
    await merchant.change(id, { price: priceOf("TEAM") });
    expect(await kept(userId)).toBe(5_000);
    const upgrade = await world.models.payment.findFirstOrThrow({
      where: { userId, amount: 4_000 },
    });
    world.sandbox.stripe.control.refund(upgrade.stripePaymentId ?? "");
    await world.settled();
    expect(await kept(userId)).toBe(500);
  });
});
