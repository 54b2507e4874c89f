// A subscription of ours is followed whatever a merchant turns it into, and late payers get their period.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

describe("moved subscriptions", () => {
  const world = useShop({ available, clock: createTestClock("frozen") });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);

  it("is followed to its end after the merchant moved it to a price of another kind", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const id = await on.stripeIdOf(userId);
    await merchant.change(id, { price: await merchant.foreignPrice(700) }, "none");
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", status: "active" });
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    // Paid for something else, so it grants no credits.
    expect(await on.granted(userId)).toBe(500);
    world.sandbox.stripe.control.cancelSubscription(id);
    await world.settled();
    expect(await on.state(userId)).toBeNull();
    const { sessionId } = await world.payment.subscribe(userId, {
      planId: on.plan("PRO", "month").id,
    });
    world.sandbox.stripe.control.completeCheckout(sessionId);
    await world.settled();
    expect(await on.granted(userId)).toBe(2_000);
    await world.payment.endSubscription(userId);
  });

  it("grants an invoice for one of our prices though the subscription has moved since", async () => {
    world.sandbox.stripe.control.misdeliver({ paused: true });
    const userId = await on.subscriber("BASIC", "month").catch(() => "");
    const [subscription] = await world.models.subscription.findMany({ where: { userId } });
    expect(subscription).toBeUndefined();
    const customer = await world.customerOf(userId);
    const list = (await merchant.get("subscriptions", { customer }))["data"];
    const id = (list as { id: string }[])[0]?.id ?? "";
    await merchant.change(id, { price: await merchant.foreignPrice(700) }, "none");
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    expect(await on.granted(userId)).toBe(500);
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", status: "active" });
  });

  it("renews a plan whose add-on is listed first", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const id = await on.stripeIdOf(userId);
    const addOn = await merchant.foreignPrice(300);
    const basic = await merchant.priceOf(on.plan("BASIC", "month").id);
    // The plan's item is turned into the add-on's, and the plan is added after it.
    await merchant.post(`subscriptions/${id}`, {
      "items[0][id]": await merchant.itemOf(id),
      "items[0][price]": addOn,
      "items[1][price]": basic,
      proration_behavior: "none",
    });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC" });
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.granted(userId)).toBe(1_000);
    // Changing the plan changes the plan's item, not the add-on's.
    const { subscription } = await on.upgrade(userId, on.plan("PRO", "month").id);
    expect(subscription.tier).toBe("PRO");
  });

  it("leaves a year that has an add-on as it is: the add-on cannot become monthly with the plan", async () => {
    const userId = await on.subscriber("PRO", "year");
    const id = await on.stripeIdOf(userId);
    await merchant.post(`subscriptions/${id}`, {
      "items[1][price]": await merchant.foreignPrice(300, "year"),
      proration_behavior: "none",
    });
    await world.settled();
    const planId = on.plan("BASIC", "month").id;
    await expect(world.payment.previewPlanChange(userId, { planId })).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });

  it("strands nobody whose customer was deleted and made anew", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const former = await world.customerOf(userId);
    await world.models.user.update({
      where: { id: userId },
      data: { stripeCustomerId: `${former}_anew` },
    });
    const id = await on.stripeIdOf(userId);
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.granted(userId)).toBe(1_000);
    world.sandbox.stripe.control.cancelSubscription(id);
    await world.settled();
    expect(await on.state(userId)).toBeNull();
  });

  it("gives a late payer's credits a month from the payment", async () => {
    world.sandbox.stripe.control.setDunning({ retryAfterDays: [], end: "unpaid" });
    const userId = await on.subscriber("BASIC", "month");
    const customer = await world.customerOf(userId);
    world.sandbox.stripe.control.setCard(customer, "failing");
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await on.granted(userId)).toBe(500);
    const list = (await merchant.get("invoices", { customer, status: "open" }))["data"];
    const invoiceId = (list as { id: string }[])[0]?.id ?? "";
    world.travel({ days: 75 });
    world.sandbox.stripe.control.setCard(customer, "ok");
    world.sandbox.stripe.control.payInvoice(invoiceId);
    await world.settled();
    const lot = await world.models.creditGrant.findFirstOrThrow({
      where: { userId, remaining: 500 },
    });
    const daysLeft = ((lot.expiresAt?.getTime() ?? 0) - world.clock.now()) / 86_400_000;
    expect(daysLeft).toBeGreaterThanOrEqual(28);
    expect(daysLeft).toBeLessThanOrEqual(31);
  });
});
