// Free trials given by the merchant: nothing is granted until something is paid; the first payment is like any other.
import { beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

describe("trials", () => {
  const world = useShop({ available, clock: createTestClock("frozen") });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);

  beforeAll(async () => {
    await world.payment.syncCatalog();
  });

  /** Creates a user with a checkout by the merchant that begins with a trial. */
  async function onTrial(tier: string, interval: "month" | "year", days: number): Promise<string> {
    const userId = await world.createUser();
    await world.payment.portal(userId);
    const session = await merchant.post("checkout/sessions", {
      mode: "subscription",
      customer: await world.customerOf(userId),
      success_url: "http://localhost/s",
      "line_items[0][price]": await merchant.priceOf(on.plan(tier, interval).id),
      "line_items[0][quantity]": "1",
      "subscription_data[trial_period_days]": String(days),
    });
    world.sandbox.stripe.control.completeCheckout(session.id);
    await world.settled();
    return userId;
  }

  const paid = async (userId: string): Promise<number[]> => {
    const { invoices } = await world.payment.invoices(userId);
    return invoices.map(({ amountPaid }) => amountPaid);
  };

  it.each([
    ["month", 14],
    ["month", 45],
    ["year", 45],
  ] as const)(
    "by the %s: %d days give nothing, what is paid after them gives its credits",
    async (interval, days) => {
      const userId = await onTrial("PRO", interval, days);
      expect(await on.state(userId)).toMatchObject({ tier: "PRO", interval, status: "trialing" });
      expect(await on.granted(userId)).toBe(0);
      expect(await paid(userId)).toEqual([0]);
      await world.payment.grantMonthly();
      world.travel({ days: days - 1 });
      await world.settled();
      await world.payment.grantMonthly();
      await world.payment.reconcile();
      expect(await on.granted(userId)).toBe(0);
      world.travel({ days: 1, minutes: 61 });
      await world.settled();
      expect(await on.state(userId)).toMatchObject({ tier: "PRO", status: "active" });
      expect(await on.granted(userId)).toBe(1_500);
      const price = on.plan("PRO", interval).price;
      expect(await paid(userId)).toEqual([price, 0]);
      world.travel({ months: 1, minutes: 61 });
      await world.settled();
      await world.payment.grantMonthly();
      expect(await on.granted(userId)).toBe(3_000);
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
    },
  );

  it("ends without a payment when it is cancelled in time, and can be resumed", async () => {
    const userId = await onTrial("BASIC", "month", 7);
    const cancelled = await world.payment.cancelSubscription(userId);
    expect(cancelled.subscription).toMatchObject({ status: "trialing", cancelAtPeriodEnd: true });
    expect(cancelled.subscription.cancelAt).toBe(cancelled.subscription.currentPeriodEnd);
    const resumed = await world.payment.resumeSubscription(userId);
    expect(resumed.subscription).toMatchObject({ cancelAtPeriodEnd: false, cancelAt: null });
    await world.payment.cancelSubscription(userId);
    world.travel({ days: 8 });
    await world.settled();
    expect(await on.state(userId)).toBeNull();
    expect(await paid(userId)).toEqual([0]);
    expect(await world.credits(userId)).toBe(0);
  });

  it("goes on with a dearer plan at once and with a cheaper one from its end, for nothing", async () => {
    const up = await onTrial("BASIC", "month", 7);
    const dearer = await on.upgrade(up, on.plan("PRO", "month").id);
    expect(dearer.preview).toMatchObject({ amountDue: 0, creditsNow: 0 });
    expect(dearer.subscription).toMatchObject({ tier: "PRO", status: "trialing" });
    const yearly = await on.upgrade(up, on.plan("PRO", "year").id);
    expect(yearly.subscription).toMatchObject({ interval: "year", status: "trialing" });
    const down = await onTrial("PRO", "month", 7);
    const cheaper = await on.upgrade(down, on.plan("BASIC", "month").id);
    expect(cheaper.subscription).toMatchObject({
      tier: "PRO",
      status: "trialing",
      pendingPlan: { planId: on.plan("BASIC", "month").id },
    });
    expect([await paid(up), await paid(down)]).toEqual([[0], [0]]);
    world.travel({ days: 7, minutes: 61 });
    await world.settled();
    await world.payment.grantMonthly();
    expect(await paid(up)).toEqual([on.plan("PRO", "year").price, 0]);
    expect(await on.granted(up)).toBe(1_500);
    expect(await on.state(down)).toMatchObject({ tier: "BASIC", status: "active" });
    expect(await paid(down)).toEqual([999, 0]);
    expect(await on.granted(down)).toBe(500);
    for (const userId of [up, down])
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("whose card fails at its end grants nothing until it is paid", async () => {
    const userId = await onTrial("BASIC", "month", 7);
    const customer = await world.customerOf(userId);
    world.sandbox.stripe.control.setCard(customer, "failing");
    world.travel({ days: 7, minutes: 61 });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ status: "past_due" });
    expect(await on.granted(userId)).toBe(0);
    world.sandbox.stripe.control.setCard(customer, "ok");
    world.travel({ days: 4 });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ status: "active" });
    expect(await on.granted(userId)).toBe(500);
  });

  it("given to somebody who has paid takes the credits of what is unused, and its end is paid from the balance", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const id = await on.stripeIdOf(userId);
    const end = Math.floor(world.clock.now() / 1_000) + 10 * 86_400;
    await merchant.post(`subscriptions/${id}`, { trial_end: String(end) });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ status: "trialing" });
    // The whole month was unused and is now the customer's balance.
    expect(await world.credits(userId)).toBe(0);
    world.travel({ days: 10, minutes: 61 });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ status: "active" });
    expect(await world.credits(userId)).toBe(500);
    expect(await paid(userId)).toEqual([0, 0, 999]);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });
});
