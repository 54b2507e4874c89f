// A second subscription created without us (dashboard, payment link) is ended, and everything paid for it refunded,
// whenever it becomes known and whenever it is paid.
import { describe, expect, it } from "vitest";
import { missing } from "../../support/another-account.ts";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { useShop } from "../../support/use-app.ts";

describe("a second subscription", () => {
  /** Subscriptions that Stripe no longer knows. */
  const forgotten = new Set<string>();
  const world = useShop({
    available,
    config: { sandbox: false },
    wrapStripe: (port) => ({
      ...port,
      getSubscription: (id) =>
        forgotten.has(id) ? Promise.reject(missing(id)) : port.getSubscription(id),
    }),
  });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);

  /** Opens another checkout for the same customer in the dashboard, without us; returns the session. */
  async function checkoutPastUs(userId: string): Promise<string> {
    await world.payment.syncCatalog();
    const made = await merchant.post("checkout/sessions", {
      mode: "subscription",
      customer: await world.customerOf(userId),
      success_url: "http://localhost/s",
      "line_items[0][price]": await merchant.priceOf(on.plan("PRO", "month").id),
      "line_items[0][quantity]": "1",
    });
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

  /** Creates a paid second subscription unknown to this server; events are held back until `wellBehaved`. */
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

  /** Delivers all events, and reconciles. */
  async function catchUp(): Promise<void> {
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    await world.settled();
  }

  const switchTo = async (id: string, tier: string) =>
    merchant.post(`subscriptions/${id}`, {
      "items[0][id]": await merchant.itemOf(id),
      "items[0][price]": await merchant.priceOf(on.plan(tier, "month").id),
      proration_behavior: "always_invoice",
    });

  /** Returns what Stripe took and refunded for a subscription, per invoice. */
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

  // Simulation seed 1393: only its latest invoice was refunded.
  it("gives back everything that a second subscription was paid, switched before it was heard of", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const second = await unheardSecond(userId);
    await switchTo(second, "TEAM");
    await catchUp();
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
    await catchUp();
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

  it("leaves no credits when its paid invoice is the first thing heard of it", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const second = await unheardSecond(userId);
    const paid = world.sandbox.stripe.control.events("invoice.paid").at(-1);
    expect(await world.deliver(paid ?? { id: "" })).toBe(200);
    expect(await paidAndRefunded(second)).toEqual([[1999, 1999]]);
    expect(await world.credits(userId)).toBe(500);
    const { payments } = await world.payment.history(userId, { limit: 50 });
    // Stripe counts in seconds, so the invoice may be dated before the checkout of the same second.
    expect(payments.map(({ status }) => status).sort()).toEqual(["REFUNDED", "SUCCESS"]);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    expect(await world.credits(userId)).toBe(500);
  });

  it("leaves no credits where the key may read its refund and no disputes", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const second = await unheardSecond(userId);
    const message = "The key does not have the required permission.";
    const error = { status: 403, type: "invalid_request_error", code: "forbidden", message };
    const { control } = world.sandbox.stripe;
    control.misbehave({ fault: "500", method: "GET", path: "/v1/disputes", times: 100, error });
    const paid = control.events("invoice.paid").at(-1);
    expect(await world.deliver(paid ?? { id: "" })).toBe(200);
    expect(await paidAndRefunded(second)).toEqual([[1999, 1999]]);
    expect(await world.credits(userId)).toBe(500);
    await catchUp();
    expect(await world.credits(userId)).toBe(500);
  });

  it("takes the place of a first one that Stripe does not know any more", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const second = await unheardSecond(userId);
    forgotten.add(await on.stripeIdOf(userId));
    await catchUp();
    const rows = await world.models.subscription.findMany({ where: { userId } });
    const live = rows.filter(({ liveKey }) => liveKey !== null);
    expect(live).toMatchObject([{ stripeSubscriptionId: second, status: "active" }]);
    expect(rows.map(({ status }) => status).sort()).toEqual(["active", "canceled"]);
    expect(await paidAndRefunded(second)).toEqual([[1999, 0]]);
    expect(await world.credits(userId)).toBe(2000);
    // Events that overtook one another too often, as happens on a busy machine, are retried.
    world.travel({ minutes: 10 });
    await world.payment.retryEvents();
    const { events } = await world.payment.listEvents({ limit: 10, status: "FAILED" });
    expect(events).toEqual([]);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("gives back an invoice that was open when it was ended and is paid after that", async () => {
    const userId = await on.subscriber("BASIC", "month");
    const customerId = await world.customerOf(userId);
    const second = await unheardSecond(userId);
    world.sandbox.stripe.control.setCard(customerId, "failing");
    world.travel({ months: 1, minutes: 61 });
    world.sandbox.stripe.control.wellBehaved();
    await world.settled();
    world.sandbox.stripe.control.setCard(customerId, "ok");
    world.travel({ minutes: 1 });
    const { data } = await merchant.get("invoices", { customer: customerId, status: "open" });
    const open = data as { id: string }[];
    expect(open).toHaveLength(2);
    for (const { id } of open) expect(world.sandbox.stripe.control.payInvoice(id)).toBe(true);
    await world.settled();
    expect(await paidAndRefunded(second)).toEqual([
      [1999, 1999],
      [1999, 1999],
    ]);
    // The first one continues, and its renewal is paid.
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", status: "active" });
    expect(await world.credits(userId)).toBe(1000);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });
});
