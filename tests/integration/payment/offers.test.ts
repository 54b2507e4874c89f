// Unusual offers: coupons, currencies without cents, changed catalogs, sessions that are not ours.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useShop } from "../../support/use-app.ts";

describe("offers", () => {
  const world = useShop({ available });

  const offer = (id: string, price: number, currency = "usd", credits = 100) =>
    world.models.creditPackage.create({
      data: { id, name: id, credits, price, currency, sortOrder: 99 },
    });
  const paymentsOf = async (userId: string) =>
    (await world.payment.history(userId, { limit: 10 })).payments;
  const { get, post } = merchantOf(world);
  it("grants all of a purchase a coupon made free, and takes half the money for all of the credits", async () => {
    for (const [code, amount] of [
      ["FREE100", 0],
      ["HALF50", 250],
    ] as const) {
      const userId = await world.createUser();
      const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_small" });
      await world.payWithCode({ sessionId }, code);
      expect(await paymentsOf(userId)).toMatchObject([
        { status: "SUCCESS", amount, creditsPurchased: 100 },
      ]);
      expect(await world.credits(userId)).toBe(100);
      const row = await world.models.payment.findFirstOrThrow({ where: { userId } });
      if (amount === 0) {
        expect(row.stripePaymentId).toBeNull();
        await expect(
          world.payment.refundPayment({ paymentId: row.id, idempotencyKey: "x", actorId: "a" }),
        ).rejects.toMatchObject({ code: "CONFLICT" });
      } else {
        world.sandbox.stripe.control.refund(row.stripePaymentId ?? "", { amount: 125 });
        await world.settled();
        expect(await world.credits(userId)).toBe(50);
      }
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
    }
  });

  it("sells in yen without inventing cents", async () => {
    await offer("pkg_yen", 700, "jpy");
    const userId = await world.createUser();
    await world.buy(userId, "pkg_yen");
    await world.settled();
    expect(await paymentsOf(userId)).toMatchObject([
      { status: "SUCCESS", amount: 700, currency: "jpy" },
    ]);
    expect(await world.credits(userId)).toBe(100);
  });

  it("gives what was offered when the catalog changes before the payment, and the new offer to the next click", async () => {
    await offer("pkg_moving", 500);
    const userId = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_moving" });
    await world.models.creditPackage.update({
      where: { id: "pkg_moving" },
      data: { credits: 50, price: 900 },
    });
    world.sandbox.stripe.control.completeCheckout(sessionId);
    await world.settled();
    expect(await world.credits(userId)).toBe(100);
    const next = await world.createUser();
    const before = await world.payment.checkout(next, { packageId: "pkg_moving" });
    await world.models.creditPackage.update({
      where: { id: "pkg_moving" },
      data: { credits: 60 },
    });
    const after = await world.payment.checkout(next, { packageId: "pkg_moving" });
    expect(after.sessionId).not.toBe(before.sessionId);
    world.sandbox.stripe.control.completeCheckout(after.sessionId);
    await world.settled();
    expect(await world.credits(next)).toBe(60);
    expect((await paymentsOf(next)).map(({ status }) => status).sort()).toEqual([
      "FAILED",
      "SUCCESS",
    ]);
  });

  it("ignores paid sessions it did not open, whatever they claim", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_small" });
    const row = await world.models.checkout.findUniqueOrThrow({
      where: { stripeSessionId: sessionId },
    });
    const forged = await post("checkout/sessions", {
      mode: "payment",
      success_url: "http://localhost/s",
      client_reference_id: row.id,
      "metadata[checkoutId]": row.id,
      "metadata[userId]": userId,
      "line_items[0][price_data][currency]": "usd",
      "line_items[0][price_data][unit_amount]": "1",
      "line_items[0][price_data][product_data][name]": "Cheap",
      "line_items[0][quantity]": "1",
    });
    world.sandbox.stripe.control.completeCheckout(forged.id);
    await world.settled();
    expect(await world.credits(userId)).toBe(0);
    const { events } = await world.payment.listEvents({ limit: 10, status: "IGNORED" });
    expect(events.some(({ objectId }) => objectId === forged.id)).toBe(true);
  });

  it("finds its own session by reference when the answer to the order was lost for good", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_small" });
    // As if the process had died between Stripe's answer and our row.
    await world.models.checkout.update({
      where: { stripeSessionId: sessionId },
      data: { stripeSessionId: null, url: null },
    });
    await world.models.payment.deleteMany({ where: { userId } });
    world.sandbox.stripe.control.completeCheckout(sessionId);
    await world.settled();
    expect(await world.credits(userId)).toBe(100);
    expect(await paymentsOf(userId)).toMatchObject([{ status: "SUCCESS", amount: 500 }]);
  });

  it("gives back what a session at another amount than offered was paid, and opens the next one", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_small" });
    await world.models.checkout.update({
      where: { stripeSessionId: sessionId },
      data: { amount: 50_000, credits: 10_000 },
    });
    world.sandbox.stripe.control.completeCheckout(sessionId);
    await world.settled();
    expect(await world.credits(userId)).toBe(0);
    expect(await paymentsOf(userId)).toMatchObject([{ status: "FAILED" }]);
    const { stripePaymentId } = await world.models.payment.findFirstOrThrow({ where: { userId } });
    const { data } = await get("refunds", { payment_intent: stripePaymentId ?? "" });
    expect(data).toMatchObject([{ amount: 500, status: "succeeded" }]);
    const next = await world.payment.checkout(userId, { packageId: "pkg_small" });
    expect(next.sessionId).not.toBe(sessionId);
    world.sandbox.stripe.control.completeCheckout(next.sessionId);
    await world.settled();
    expect(await world.credits(userId)).toBe(100);
  });

  it("survives a sandbox that forgot customer, session and price", async () => {
    const userId = await world.createUser();
    await world.payment.checkout(userId, { packageId: "pkg_small" });
    await world.models.user.update({
      where: { id: userId },
      data: { stripeCustomerId: `cus_gone${userId.slice(-8)}` },
    });
    await world.models.checkout.updateMany({
      where: { userId },
      data: { stripeSessionId: `cs_test_gone${userId.slice(-8)}` },
    });
    const plan = await world.models.plan.findFirstOrThrow({
      where: { tier: "PRO", interval: "year" },
    });
    await world.models.plan.update({
      where: { id: plan.id },
      data: { stripePriceId: "price_gone" },
    });
    const again = await world.payment.checkout(userId, { packageId: "pkg_small" });
    expect(again.checkoutUrl).toMatch(/^http/);
    const subscribing = await world.payment.subscribe(userId, { planId: plan.id });
    world.sandbox.stripe.control.completeCheckout(subscribing.sessionId);
    await world.settled();
    expect((await world.payment.subscription(userId)).subscription?.tier).toBe("PRO");
  });

  it("never sells at a price Stripe has and the catalog has left behind", async () => {
    await world.payment.syncCatalog();
    await world.models.creditPackage.update({ where: { id: "pkg_large" }, data: { price: 6000 } });
    await world.models.plan.update({ where: { id: "plan_team_month" }, data: { price: 5999 } });
    const [buyer, subscriber] = [await world.createUser(), await world.createUser()];
    await world.buy(buyer, "pkg_large");
    await world.subscribe(subscriber, "plan_team_month");
    await world.settled();
    expect((await paymentsOf(buyer))[0]).toMatchObject({ amount: 6000, status: "SUCCESS" });
    expect((await paymentsOf(subscriber))[0]).toMatchObject({ amount: 5999, status: "SUCCESS" });
  });

  it("never upgrades or downgrades to a price the catalog has left behind", async () => {
    await world.payment.syncCatalog();
    const userId = await world.createUser();
    await world.subscribe(userId, "plan_basic_month");
    await world.settled();
    const change = async (planId: string, data: { price: number; credits: number }) => {
      await world.models.plan.update({ where: { id: planId }, data });
      const shown = await world.payment.previewPlanChange(userId, { planId });
      await world.payment.changePlan(userId, { planId, previewToken: shown.previewToken });
      await world.settled();
      return shown;
    };
    const shown = await change("plan_team_month", { price: 9999, credits: 10_000 });
    expect(shown.amountDue).toBeGreaterThan(8900);
    expect(await world.credits(userId)).toBe(500 + shown.creditsNow);
    expect(shown.creditsNow).toBeGreaterThan(9400);
    await change("plan_pro_month", { price: 2999, credits: 2000 });
    const before = await world.credits(userId);
    world.travel({ months: 1, minutes: 90 });
    await world.settled();
    expect((await paymentsOf(userId))[0]).toMatchObject({ amount: 2999, creditsPurchased: 2000 });
    expect(await world.credits(userId)).toBe(before + 2000);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("ends nothing on the word of an outdated row: the former subscription is looked at first", async () => {
    const userId = await world.createUser();
    await world.subscribe(userId, "plan_basic_month");
    await world.settled();
    const former = await world.models.subscription.findFirstOrThrow({ where: { userId } });
    world.sandbox.stripe.control.setWebhookUrl(null);
    world.sandbox.stripe.control.cancelSubscription(former.stripeSubscriptionId);
    world.sandbox.stripe.control.setWebhookUrl(`${world.url}/api/payment/webhook`);
    const price = await world.models.plan.findUniqueOrThrow({ where: { id: "plan_basic_month" } });
    const made = await post("checkout/sessions", {
      mode: "subscription",
      customer: await world.customerOf(userId),
      success_url: "http://localhost/s",
      "line_items[0][price]": price.stripePriceId ?? "",
      "line_items[0][quantity]": "1",
    });
    world.sandbox.stripe.control.completeCheckout(made.id);
    await world.settled();
    const rows = await world.models.subscription.findMany({ where: { userId } });
    expect(rows.map(({ status }) => status).sort()).toEqual(["active", "canceled"]);
    expect(await world.credits(userId)).toBe(1000);
  });
});
