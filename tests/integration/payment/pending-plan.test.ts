// Pending downgrades: the paid plan stays, undoing is free, and no one pays twice for a period.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { merchantOf } from "../../support/merchant.ts";
import { retryWhileUnavailable } from "../../support/shop.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

describe("a plan that waits", () => {
  const held = createHeldCalls();
  const clock = createTestClock("frozen");
  const world = useShop({ available, clock, wrapStripe: held.wrap });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);

  const id = (tier: string) => on.plan(tier, "month").id;
  const paid = async (userId: string): Promise<number> => {
    const { _sum } = await world.models.payment.aggregate({
      where: { userId },
      _sum: { amount: true },
    });
    return _sum.amount ?? 0;
  };

  it("costs nothing to go down and up again, round after round", async () => {
    const userId = await on.subscriber("TEAM", "month");
    for (const round of [1, 2, 3]) {
      const { subscription } = await on.upgrade(userId, id("BASIC"));
      expect(subscription, `round ${round}`).toMatchObject({
        tier: "TEAM",
        credits: 5_000,
        pendingPlan: { planId: id("BASIC"), name: on.plan("BASIC", "month").name },
      });
      expect(subscription.pendingPlan?.effectiveAt).toBe(subscription.currentPeriodEnd);
      // Choosing the current plan again undoes the downgrade.
      const back = await on.upgrade(userId, id("TEAM"));
      expect(back.preview).toMatchObject({ amountDue: 0, creditsNow: 0 });
      expect(back.subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    }
    await on.upgrade(userId, id("PRO"));
    const kept = await world.payment.cancelPlanChange(userId);
    expect(kept.subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    // Idempotent.
    expect(await world.payment.cancelPlanChange(userId)).toEqual(kept);
    expect(await paid(userId)).toBe(4_999);
    expect(await world.credits(userId)).toBe(5_000);
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "TEAM" });
    expect(await paid(userId)).toBe(2 * 4_999);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("takes no upgrade back that is paid while the plan is cancelled", async () => {
    const userId = await on.subscriber("PRO", "month");
    await on.upgrade(userId, id("BASIC"));
    // Schedules identify their phases by the second in which they began, so the upgrade must begin in a later one.
    world.travel({ minutes: 1 });
    const planId = id("TEAM");
    const { previewToken } = await world.payment.previewPlanChange(userId, { planId });
    const look = held.holdNext("getSubscription");
    const cancelling = retryWhileUnavailable(() => world.payment.cancelSubscription(userId));
    await look.reached;
    const release = held.holdNext("releaseSchedule", "unsent");
    const upgrading = retryWhileUnavailable(() =>
      world.payment.changePlan(userId, { planId, previewToken }),
    );
    await release.reached;
    look.open();
    await cancelling;
    release.open();
    await upgrading;
    await world.settled();
    expect(await on.state(userId)).toMatchObject({
      tier: "TEAM",
      cancelAtPeriodEnd: true,
      pendingPlan: null,
    });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("takes only what is not paid for an upgrade while a cheaper plan waits", async () => {
    const userId = await on.subscriber("PRO", "month");
    await on.upgrade(userId, id("BASIC"));
    const { preview, subscription } = await on.upgrade(userId, id("TEAM"));
    expect(preview).toMatchObject({ amountDue: 3_000, creditsNow: 3_500 });
    expect(subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    expect(await paid(userId)).toBe(4_999);
    expect(await world.credits(userId)).toBe(5_000);
  });

  it("keeps the cheaper plan waiting when the card for an upgrade is declined", async () => {
    const userId = await on.subscriber("PRO", "month");
    await on.upgrade(userId, id("BASIC"));
    world.sandbox.stripe.control.setCard(await world.customerOf(userId), "failing");
    await expect(on.upgrade(userId, id("TEAM"))).rejects.toMatchObject({ code: "CONFLICT" });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({
      tier: "PRO",
      pendingPlan: { planId: id("BASIC") },
    });
  });

  it("changes its mind about the cheaper plan, and takes one offer once", async () => {
    const userId = await on.subscriber("TEAM", "month");
    const { previewToken } = await world.payment.previewPlanChange(userId, { planId: id("PRO") });
    const order = { planId: id("PRO"), previewToken };
    await Promise.all([
      world.payment.changePlan(userId, order),
      world.payment.changePlan(userId, order),
    ]);
    await world.settled();
    await on.upgrade(userId, id("BASIC"));
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", pendingPlan: null });
    expect(await paid(userId)).toBe(4_999 + 999);
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", pendingPlan: null });
  });

  it("turns a year into months when it ends: not before, for nothing, and undone for nothing", async () => {
    const year = on.plan("PRO", "year");
    const userId = await on.subscriber("PRO", "year");
    const waits = { planId: id("BASIC"), name: on.plan("BASIC", "month").name };
    const { preview, subscription } = await on.upgrade(userId, id("BASIC"));
    expect(preview).toMatchObject({ amountDue: 0, creditsNow: 0 });
    expect(preview.effectiveAt).toBe(subscription.currentPeriodEnd);
    expect(subscription).toMatchObject({
      ...{ tier: "PRO", interval: "year" },
      pendingPlan: { ...waits, effectiveAt: subscription.currentPeriodEnd },
    });
    const undone = await world.payment.cancelPlanChange(userId);
    expect(undone.subscription).toMatchObject({ interval: "year", pendingPlan: null });
    await on.upgrade(userId, id("BASIC"));
    for (let month = 1; month < 12; month += 1) {
      world.travel({ months: 1 });
      await world.settled();
      await world.payment.grantMonthly();
    }
    expect(await on.state(userId)).toMatchObject({ interval: "year", pendingPlan: waits });
    expect([await paid(userId), await on.granted(userId)]).toEqual([year.price, 12 * 1_500]);
    for (const months of [1, 2]) {
      world.travel({ months: 1, minutes: 61 });
      await world.settled();
      expect(await world.payment.grantMonthly()).toBe(0);
      expect(await on.state(userId)).toMatchObject({
        ...{ tier: "BASIC", interval: "month", credits: 500, pendingPlan: null },
      });
      expect(await paid(userId)).toBe(year.price + months * 999);
      expect(await on.granted(userId)).toBe(12 * 1_500 + months * 500);
    }
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("is cancelled, resumed and ended while a cheaper plan waits", async () => {
    const userId = await on.subscriber("PRO", "month");
    await on.upgrade(userId, id("BASIC"));
    const cancelled = await world.payment.cancelSubscription(userId);
    expect(cancelled.subscription).toMatchObject({ cancelAtPeriodEnd: true, pendingPlan: null });
    await expect(on.upgrade(userId, id("BASIC"))).rejects.toMatchObject({ code: "CONFLICT" });
    const resumed = await world.payment.resumeSubscription(userId);
    expect(resumed.subscription).toMatchObject({ cancelAtPeriodEnd: false, tier: "PRO" });
    await on.upgrade(userId, id("BASIC"));
    await world.payment.endSubscription(userId);
    expect(await on.state(userId)).toBeNull();
  });

  it("waits on for who could not be ended, and goes with the subscription when that ends", async () => {
    const userId = await on.subscriber("PRO", "month");
    await on.upgrade(userId, id("BASIC"));
    const path = `/v1/subscriptions/${await on.stripeIdOf(userId)}`;
    const { control } = world.sandbox.stripe;
    control.misbehave({ fault: "500", method: "DELETE", path, times: Number.POSITIVE_INFINITY });
    await expect(world.payment.endSubscription(userId)).rejects.toMatchObject({
      code: "PAYMENT_PROVIDER_ERROR",
    });
    control.wellBehaved();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await on.state(userId)).toMatchObject({
      tier: "PRO",
      pendingPlan: { planId: id("BASIC") },
    });
    // If Stripe refuses to end a subscription because of its pending plan, the schedule is released first.
    const error = { status: 400, type: "invalid_request_error", message: "Managed by a schedule." };
    control.misbehave({ fault: "500", method: "DELETE", path, times: 1, error });
    await world.payment.endSubscription(userId);
    expect(await on.state(userId)).toBeNull();
  });

  it("keeps a lasting promotion code of the plan, whether the cheaper one is undone or comes", async () => {
    await merchant.post("coupons", { id: "LOYAL", percent_off: "50", duration: "forever" });
    await merchant.post("promotion_codes", { "promotion[coupon]": "LOYAL", code: "LOYAL50" });
    const half = { PRO: 999, BASIC: 499 };
    const subscriber = async () => {
      const userId = await world.createUser();
      const { sessionId } = await world.payment.subscribe(userId, { planId: id("PRO") });
      await world.payWithCode({ sessionId }, "LOYAL50");
      expect(await paid(userId)).toBe(half.PRO);
      await on.upgrade(userId, id("BASIC"));
      return userId;
    };
    const stays = await subscriber();
    await on.upgrade(stays, id("PRO"));
    const goes = await subscriber();
    const changesItsMind = await subscriber();
    await on.upgrade(changesItsMind, id("PRO"));
    await on.upgrade(changesItsMind, id("BASIC"));
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.state(stays)).toMatchObject({ tier: "PRO", pendingPlan: null });
    expect(await paid(stays)).toBe(2 * half.PRO);
    for (const userId of [goes, changesItsMind]) {
      expect(await on.state(userId)).toMatchObject({ tier: "BASIC", pendingPlan: null });
      expect(await paid(userId)).toBe(half.PRO + half.BASIC);
    }
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await paid(goes)).toBe(half.PRO + 2 * half.BASIC);
    expect(await brokenInvariants(world.models, goes)).toEqual([]);
  });

  it("shows and takes back an end months ahead", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const stripeId = await on.stripeIdOf(userId);
    const end = new Date((Math.floor(world.clock.now() / 1000) + 95 * 86_400) * 1000);
    const set = async () => {
      await merchant.post(`subscriptions/${stripeId}`, { cancel_at: String(end.getTime() / 1000) });
      await world.settled();
    };
    await set();
    expect(await on.state(userId)).toMatchObject({
      cancelAtPeriodEnd: false,
      cancelAt: end.toISOString(),
    });
    const resumed = await world.payment.resumeSubscription(userId);
    expect(resumed.subscription).toMatchObject({ cancelAtPeriodEnd: false, cancelAt: null });
    expect((await merchant.get(`subscriptions/${stripeId}`))["cancel_at"]).toBeNull();
    await set();
    const { subscription } = await world.payment.cancelSubscription(userId);
    expect(subscription).toMatchObject({
      cancelAtPeriodEnd: true,
      cancelAt: subscription.currentPeriodEnd,
    });
    expect((await merchant.get(`subscriptions/${stripeId}`))["cancel_at_period_end"]).toBe(true);
  });
});
