import { describe, expect, it } from "vitest";
import { addMonths } from "../../../server/payment/catalog/billing-months.ts";
import { available } from "../../support/backend.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { useShop } from "../../support/use-app.ts";

describe("subscriptions", () => {
  const world = useShop({ available });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);

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

  /** Somebody in the dashboard opens another checkout for the same customer, past us; answers the session. */
  async function checkoutPastUs(userId: string): Promise<string> {
    const customer = await world.customerOf(userId);
    await world.payment.syncCatalog();
    const { stripePriceId: price } = await world.models.plan.findUniqueOrThrow({
      where: { id: on.plan("PRO", "month").id },
    });
    const form = new URLSearchParams({
      mode: "subscription",
      customer,
      success_url: "http://localhost/s",
      "line_items[0][price]": price ?? "",
      "line_items[0][quantity]": "1",
    });
    const made = (await (
      await fetch(`${world.sandbox.stripe.url}/v1/checkout/sessions`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${world.sandbox.stripe.secretKey}`,
          "Content-Type": "application/x-www-form-urlencoded",
        },
        body: form,
      })
    ).json()) as { id: string };
    return made.id;
  }

  it("ends and gives back a second subscription made past us", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const first = await on.stripeIdOf(userId);
    const made = await checkoutPastUs(userId);
    world.sandbox.stripe.control.completeCheckout(made);
    await world.settled();
    await world.payment.reconcile();
    await world.settled();
    expect(await on.stripeIdOf(userId)).toBe(first);
    const rows = await world.models.subscription.findMany({ where: { userId } });
    expect(rows.filter(({ liveKey }) => liveKey !== null)).toHaveLength(1);
    expect(await world.credits(userId)).toBe(500);
    const { payments } = await world.payment.history(userId, { limit: 50 });
    expect(payments.map(({ status }) => status).sort()).toEqual(["REFUNDED", "SUCCESS"]);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  /** A paid second subscription that this server has not heard of yet; events wait until `wellBehaved`. */
  async function unheardSecond(userId: string): Promise<string> {
    const first = await on.stripeIdOf(userId);
    const made = await checkoutPastUs(userId);
    world.sandbox.stripe.control.misdeliver({ paused: true });
    world.sandbox.stripe.control.completeCheckout(made);
    const { data } = await merchant.get("subscriptions", {
      customer: await world.customerOf(userId),
    });
    return (data as { id: string }[]).find(({ id }) => id !== first)?.id ?? "";
  }

  const switchTo = async (id: string, tier: string) =>
    merchant.post(`subscriptions/${id}`, {
      "items[0][id]": await merchant.itemOf(id),
      "items[0][price]": await merchant.priceOf(on.plan(tier, "month").id),
      proration_behavior: "always_invoice",
    });

  /** What Stripe took and gave back for a subscription, invoice by invoice. */
  async function paidAndRefunded(subscription: string): Promise<[number, number][]> {
    const invoices = (await merchant.get("invoices", { subscription, status: "paid" }))["data"];
    return Promise.all(
      (invoices as { id: string; amount_paid: number }[]).map(async ({ id, amount_paid: paid }) => {
        const payments = (await merchant.get("invoice_payments", { invoice: id }))["data"];
        const [payment] = payments as { payment: { payment_intent: string } }[];
        const intent = payment?.payment.payment_intent ?? "";
        const refunds = (await merchant.get("refunds", { payment_intent: intent }))["data"];
        const back = (refunds as { amount: number }[]).reduce((sum, one) => sum + one.amount, 0);
        return [paid, back];
      }),
    );
  }

  // Simulation seed 1393: only its latest invoice was given back.
  it("gives back everything that a second subscription was paid, switched before it was heard of", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const second = await unheardSecond(userId);
    await switchTo(second, "TEAM");
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    await world.settled();
    const money = await paidAndRefunded(second);
    expect(money).toHaveLength(2);
    expect(money.every(([paid, back]) => paid > 0 && back === paid)).toBe(true);
    expect(await world.credits(userId)).toBe(500);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("ends a second subscription that was switched after its first refund, before it could be ended", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const second = await unheardSecond(userId);
    const path = `/v1/subscriptions/${second}`;
    world.sandbox.stripe.control.misbehave({ fault: "500", method: "DELETE", path, times: 4 });
    const created = world.sandbox.stripe.control
      .events("customer.subscription.created")
      .find(({ data }) => (data.object as { id: string }).id === second);
    if (created === undefined) throw new Error("the second subscription has no event");
    expect(await world.deliver(created)).toBe(500);
    expect(await paidAndRefunded(second)).toEqual([[1999, 1999]]);
    await switchTo(second, "TEAM");
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    await world.settled();
    const money = await paidAndRefunded(second);
    expect(money).toHaveLength(2);
    expect(money.every(([paid, back]) => back === paid)).toBe(true);
    const row = await world.models.subscription.findUnique({
      where: { stripeSubscriptionId: second },
    });
    expect(row?.status).toBe("canceled");
    expect(await world.credits(userId)).toBe(500);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("ends a second subscription whose payment is disputed, and so cannot be given back", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const first = await on.stripeIdOf(userId);
    const made = await checkoutPastUs(userId);
    world.sandbox.stripe.control.misdeliver({ paused: true });
    world.sandbox.stripe.control.completeCheckout(made);
    const intent = world.sandbox.stripe.control.events("payment_intent.succeeded").at(-1)
      ?.data.object;
    world.sandbox.stripe.control.openDispute((intent as { id: string }).id);
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await on.stripeIdOf(userId)).toBe(first);
    const rows = await world.models.subscription.findMany({ where: { userId } });
    expect(rows.map(({ status }) => status).sort()).toEqual(["active", "canceled"]);
    expect(await world.credits(userId)).toBe(500);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
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
