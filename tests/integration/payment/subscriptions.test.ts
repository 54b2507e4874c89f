import { describe, expect, it } from "vitest";
import { addMonths } from "../../../server/payment/catalog/billing-months.ts";
import { available } from "../../support/backend.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { useShop } from "../../support/use-app.ts";

describe("subscriptions", () => {
  const world = useShop({ available });
  const on = useSubscribers(world);

  it("sells the seeded plans, the year at ten months' price", () => {
    expect(
      on.plans
        .filter(({ interval }) => interval === "month")
        .map(({ tier, credits, price }) => [tier, credits, price]),
    ).toEqual([
      ["BASIC", 500, 999],
      ["PRO", 1500, 1999],
      ["TEAM", 5000, 4999],
    ]);
    for (const yearly of on.plans.filter(({ interval }) => interval === "year"))
      expect(yearly.price).toBe(on.plan(yearly.tier, "month").price * 10);
  });

  it("grants each paid month once, expiring one month after it; bought credits stay", async () => {
    const userId = await world.createUser();
    const { packages } = await world.payment.packages();
    await world.buy(userId, packages[0]?.id ?? "");
    const sessionId = await world.subscribe(userId, on.plan("BASIC", "month").id);
    await world.settled();
    expect(await world.payment.confirm(userId, { sessionId })).toMatchObject({
      status: "SUCCESS",
      creditsAdded: 500,
      balance: 600,
    });
    const now = await on.state(userId);
    expect(now).toMatchObject({ tier: "BASIC", interval: "month", status: "active", credits: 500 });
    const lot = await world.models.creditGrant.findFirstOrThrow({
      where: { userId, source: "SUBSCRIPTION" },
    });
    expect(lot.expiresAt?.toISOString()).toBe(
      addMonths(new Date(now?.currentPeriodStart ?? ""), 2).toISOString(),
    );
    world.travel({ months: 1, minutes: 90 });
    await world.settled();
    expect(await world.credits(userId)).toBe(1100);
    const bought = await world.models.creditGrant.findFirstOrThrow({
      where: { userId, source: "PURCHASE" },
    });
    expect(bought.expiresAt).toBeNull();
    const { payments } = await world.payment.history(userId, { limit: 50 });
    expect(payments.map(({ amount, status }) => [amount, status])).toEqual([
      [999, "SUCCESS"],
      [999, "SUCCESS"],
      [500, "SUCCESS"],
    ]);
    const { invoices } = await world.payment.invoices(userId);
    expect(invoices.map(({ status, amountPaid }) => [status, amountPaid])).toEqual([
      ["paid", 999],
      ["paid", 999],
    ]);
    expect((await world.payment.portal(userId)).url).toMatch(/^http/);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("refuses a second subscription, and gives two tabs the same checkout", async () => {
    const userId = await world.createUser();
    const basic = on.plan("BASIC", "month").id;
    const [one, two] = await Promise.all([
      world.payment.subscribe(userId, { planId: basic }),
      world.payment.subscribe(userId, { planId: basic }),
    ]);
    expect(one.sessionId).toBe(two.sessionId);
    const pro = await world.payment.subscribe(userId, { planId: on.plan("PRO", "month").id });
    expect(pro.sessionId).not.toBe(one.sessionId);
    expect(world.sandbox.stripe.control.completeCheckout(one.sessionId).status).toBe("expired");
    world.sandbox.stripe.control.completeCheckout(pro.sessionId);
    await world.settled();
    expect((await on.state(userId))?.tier).toBe("PRO");
    await expect(world.payment.subscribe(userId, { planId: basic })).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });

  it("grants nothing while past due and once on recovery", async () => {
    const userId = await on.subscriber("BASIC", "month");
    world.sandbox.stripe.control.setCard(await world.customerOf(userId), "failing");
    world.travel({ months: 1, minutes: 90 });
    await world.settled();
    expect((await on.state(userId))?.status).toBe("past_due");
    expect(await world.credits(userId)).toBe(500);
    world.sandbox.stripe.control.setCard(await world.customerOf(userId), "ok");
    const open = (await world.payment.invoices(userId)).invoices.find(
      ({ status }) => status === "open",
    );
    expect(world.sandbox.stripe.control.payInvoice(open?.id ?? "")).toBe(true);
    await world.settled();
    expect((await on.state(userId))?.status).toBe("active");
    expect(await world.credits(userId)).toBe(1000);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("cancels at the end of the period, resumes, cancels again and lapses", async () => {
    const userId = await on.subscriber("BASIC", "month");
    expect((await world.payment.cancelSubscription(userId)).subscription.cancelAtPeriodEnd).toBe(
      true,
    );
    expect((await world.payment.cancelSubscription(userId)).subscription.cancelAtPeriodEnd).toBe(
      true,
    );
    expect((await world.payment.resumeSubscription(userId)).subscription.cancelAtPeriodEnd).toBe(
      false,
    );
    expect((await world.payment.cancelSubscription(userId)).subscription.cancelAtPeriodEnd).toBe(
      true,
    );
    world.travel({ months: 1, minutes: 90 });
    await world.settled();
    expect(await on.state(userId)).toBeNull();
    expect(await world.credits(userId)).toBe(500);
    await expect(world.payment.resumeSubscription(userId)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await world.subscribe(userId, on.plan("PRO", "month").id);
    await world.settled();
    expect((await on.state(userId))?.tier).toBe("PRO");
    expect(await world.credits(userId)).toBe(2000);
  });

  it("grants a yearly plan month by month, and stops when it ends", async () => {
    const userId = await on.subscriber("BASIC", "year");
    expect(await on.granted(userId)).toBe(500);
    expect(await world.payment.grantMonthly()).toBe(0);
    for (let month = 2; month <= 4; month += 1) {
      world.travel({ months: 1 });
      await world.payment.grantMonthly();
      expect(await on.granted(userId)).toBe(500 * month);
      await world.payment.grantMonthly();
      expect(await on.granted(userId)).toBe(500 * month);
    }
    const { preview } = await on.upgrade(userId, on.plan("PRO", "year").id);
    expect(preview.amountDue).toBeGreaterThan(0);
    const before = await on.granted(userId);
    world.travel({ months: 1 });
    await world.payment.grantMonthly();
    expect(await on.granted(userId)).toBe(before + 1500);
    await world.payment.endSubscription(userId);
    await world.payment.endSubscription(userId);
    expect(await on.state(userId)).toBeNull();
    world.travel({ months: 2 });
    await world.payment.grantMonthly();
    expect(await on.granted(userId)).toBe(before + 1500);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("keeps one payment for a subscription whose checkout answer was lost for good", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.subscribe(userId, {
      planId: on.plan("BASIC", "month").id,
    });
    await world.models.checkout.update({
      where: { stripeSessionId: sessionId },
      data: { stripeSessionId: null, url: null },
    });
    await world.models.payment.deleteMany({ where: { userId } });
    world.sandbox.stripe.control.completeCheckout(sessionId);
    await world.settled();
    expect(await world.payment.confirm(userId, { sessionId })).toMatchObject({
      status: "SUCCESS",
      creditsAdded: 500,
    });
    expect((await world.payment.history(userId, { limit: 10 })).total).toBe(1);
  });

  it("closes what is open when the account goes", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.subscribe(userId, {
      planId: on.plan("BASIC", "month").id,
    });
    await world.payment.endSubscription(userId);
    expect(world.sandbox.stripe.control.completeCheckout(sessionId).status).toBe("expired");
    const stranger = await world.createUser();
    await world.payment.endSubscription(stranger);
    await expect(world.payment.cancelSubscription(stranger)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});
