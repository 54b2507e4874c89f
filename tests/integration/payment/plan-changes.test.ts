// Plan changes: credits follow the money, the preview is binding, Stripe's clock counts.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useShop } from "../../support/use-app.ts";

describe("plan changes", () => {
  const world = useShop({ available });
  const on = useSubscribers(world);

  it("follows the money on upgrades: at once, late, twice, and not on downgrades", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const { preview } = await on.upgrade(userId, on.plan("PRO", "month").id);
    // Immediately: the whole difference is paid and granted.
    expect(preview.amountDue).toBeGreaterThan(990);
    expect(preview.creditsNow).toBeGreaterThan(990);
    expect(await world.credits(userId)).toBe(500 + preview.creditsNow);
    world.travel({ days: 15 });
    const before = await world.credits(userId);
    const second = await on.upgrade(userId, on.plan("TEAM", "month").id);
    const share = second.preview.amountDue / (4999 - 1999);
    expect(second.preview.creditsNow).toBeGreaterThan(3500 * (share - 0.01));
    expect(second.preview.creditsNow).toBeLessThan(3500 * (share + 0.01));
    expect(await world.credits(userId)).toBe(before + second.preview.creditsNow);
    expect((await on.state(userId))?.tier).toBe("TEAM");
    const down = await on.upgrade(userId, on.plan("BASIC", "month").id);
    expect(down.preview).toMatchObject({ amountDue: 0, creditsNow: 0 });
    // What is paid for stays until the end of its period.
    expect(down.subscription).toMatchObject({
      tier: "TEAM",
      pendingPlan: { planId: on.plan("BASIC", "month").id, effectiveAt: down.preview.effectiveAt },
    });
    expect(await world.credits(userId)).toBe(before + second.preview.creditsNow);
    const beforeRenewal = await world.credits(userId);
    world.travel({ days: 17 });
    await world.settled();
    expect(await world.credits(userId)).toBe(beforeRenewal + 500);
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", pendingPlan: null });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it.each([1000, 100])(
    "upgrades from what was paid for when the plan gives %i credits meanwhile",
    async (credits) => {
      const userId = await on.subscriber("BASIC", "month");
      const { id } = on.plan("BASIC", "month");
      await world.models.plan.update({ where: { id }, data: { credits } });
      await world.payment.syncCatalog();
      const { preview } = await on.upgrade(userId, on.plan("PRO", "month").id);
      expect(preview.creditsNow).toBeGreaterThan(990);
      expect(preview.creditsNow).toBeLessThanOrEqual(1000);
      expect(await world.credits(userId)).toBe(500 + preview.creditsNow);
      // New subscribers get the new number of credits.
      expect(await world.credits(await on.subscriber("BASIC", "month"))).toBe(credits);
      await world.models.plan.update({ where: { id }, data: { credits: 500 } });
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
    },
  );

  it.each([
    ["BASIC", 5999, "PRO", true],
    ["TEAM", 999, "PRO", false],
  ] as const)(
    "compares with what is paid, and shows it, when %s costs %i meanwhile",
    async (tier, price, wanted, isDearer) => {
      const userId = await on.subscriber(tier, "month");
      const { id } = on.plan(tier, "month");
      const before = await world.models.plan.findUniqueOrThrow({ where: { id } });
      const shown = { credits: before.credits, price: before.price };
      await world.models.plan.update({ where: { id }, data: { price, credits: 7 } });
      await world.payment.syncCatalog();
      expect(await on.state(userId)).toMatchObject({ tier, ...shown });
      const { id: planId } = on.plan(wanted, "month");
      const preview = await world.payment.previewPlanChange(userId, { planId });
      expect(preview.amountDue > 0).toBe(isDearer);
      expect(preview.creditsNow > 0).toBe(isDearer);
      await world.models.plan.update({ where: { id }, data: shown });
      await world.payment.syncCatalog();
    },
  );

  it("binds the change to what was shown", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const other = await on.subscriber("BASIC", "month");
    const pro = on.plan("PRO", "month").id;
    const team = on.plan("TEAM", "month").id;
    const shown = await world.payment.previewPlanChange(userId, { planId: pro });
    const stale = { code: "PREVIEW_STALE" };
    const change = (user: string, planId: string, previewToken: string) =>
      world.payment.changePlan(user, { planId, previewToken });
    await expect(change(userId, team, shown.previewToken)).rejects.toMatchObject(stale);
    await expect(change(other, pro, shown.previewToken)).rejects.toMatchObject(stale);
    await expect(change(userId, pro, `${shown.previewToken}x`)).rejects.toMatchObject(stale);
    await expect(change(userId, pro, "forged.token")).rejects.toMatchObject(stale);
    const twice = await Promise.all([
      change(userId, pro, shown.previewToken),
      change(userId, pro, shown.previewToken),
    ]);
    expect(twice.map(({ subscription }) => subscription.tier)).toEqual(["PRO", "PRO"]);
    await world.settled();
    expect(await world.credits(userId)).toBe(500 + shown.creditsNow);
    const late = await world.payment.previewPlanChange(other, { planId: pro });
    world.travel({ minutes: 11 });
    await expect(change(other, pro, late.previewToken)).rejects.toMatchObject(stale);
    await expect(
      world.payment.previewPlanChange(other, { planId: on.plan("BASIC", "month").id }),
    ).rejects.toMatchObject({ code: "CONFLICT" });
    world.sandbox.stripe.control.setCard(await world.customerOf(other), "failing");
    const declined = await world.payment.previewPlanChange(other, { planId: pro });
    await expect(change(other, pro, declined.previewToken)).rejects.toMatchObject({
      code: "CONFLICT",
    });
    expect((await on.state(other))?.tier).toBe("BASIC");
    expect(await world.credits(other)).toBe(500);
  });

  it("does once what is pressed twice at once, whichever press is slower", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const press = async (planId: string) => {
      const { previewToken } = await world.payment.previewPlanChange(userId, { planId });
      const change = () => world.payment.changePlan(userId, { planId, previewToken });
      const [one, other] = await Promise.all([change(), change()]);
      await world.settled();
      expect(one.subscription).toEqual(other.subscription);
      return one.subscription;
    };
    const pro = on.plan("PRO", "month").id;
    const basic = on.plan("BASIC", "month").id;
    const quotes = "/v1/invoices/create_preview";
    world.sandbox.stripe.control.misbehave({ fault: "slow", path: quotes, times: 2, delayMs: 700 });
    expect(await press(pro)).toMatchObject({ tier: "PRO" });
    const paid = await on.granted(userId);
    expect(await press(basic)).toMatchObject({
      tier: "PRO",
      pendingPlan: { planId: basic },
    });
    expect(await press(pro)).toMatchObject({ tier: "PRO", pendingPlan: null });
    expect(await on.granted(userId)).toBe(paid);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("turns a month into a year by paying the difference, and a year into months when it ends", async () => {
    const userId = await on.subscriber("BASIC", "month");
    world.travel({ days: 10 });
    const { preview, subscription } = await on.upgrade(userId, on.plan("BASIC", "year").id);
    expect(subscription.interval).toBe("year");
    expect(preview.amountDue).toBeLessThan(9990);
    const total = await on.granted(userId);
    expect(total).toBe(500 + preview.creditsNow);
    for (let month = 0; month < 11; month += 1) {
      world.travel({ months: 1 });
      await world.payment.grantMonthly();
    }
    const unused = ((9990 - preview.amountDue) / 999) * 500;
    expect(await on.granted(userId)).toBe(500 + 6000 - Math.ceil(unused));
    // Even a dearer tier waits, because the unused part of the year would immediately be turned into money.
    const months = await on.upgrade(userId, on.plan("PRO", "month").id);
    expect(months.preview).toMatchObject({ amountDue: 0, creditsNow: 0 });
    expect(months.preview.effectiveAt).toBe(subscription.currentPeriodEnd);
    expect(months.subscription).toMatchObject({ tier: "BASIC", interval: "year" });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("takes what waits for the next invoice with it, and is not out of date for that", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const merchant = merchantOf(world);
    await merchant.change(await on.stripeIdOf(userId), { quantity: 2 }, "create_prorations");
    world.travel({ days: 3 });
    const { preview, subscription } = await on.upgrade(userId, on.plan("PRO", "month").id);
    expect(Date.parse(preview.effectiveAt)).toBeGreaterThan(world.clock.now() - 60_000);
    expect(subscription).toMatchObject({ tier: "PRO", credits: 3000 });
    expect(await on.granted(userId)).toBe(500 + preview.creditsNow);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("prorates by Stripe's own clock, should it be ahead of ours", async () => {
    const userId = await on.subscriber("BASIC", "month");
    world.sandbox.stripe.control.advance({ months: 1, days: 3 });
    await world.settled();
    expect(await on.granted(userId)).toBe(1000);
    const { preview } = await on.upgrade(userId, on.plan("PRO", "month").id);
    expect(preview.amountDue).toBeGreaterThan(800);
    expect(preview.amountDue).toBeLessThan(990);
    expect(await on.granted(userId)).toBe(1000 + preview.creditsNow);
  });
});
