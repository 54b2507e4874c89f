// Owns the proof that subscriptions on the Stripe stand-in live, renew, fail, recover and change as with the real one.
import type Stripe from "stripe";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startWorld, type World } from "./support.ts";

let world: World;
let stripe: Stripe;
let basic: Stripe.Price;
let pro: Stripe.Price;
let proYearly: Stripe.Price;
let wallMs = Date.parse("2027-01-31T10:00:00Z");

beforeAll(async () => {
  world = await startWorld({ clock: () => new Date(wallMs) });
  stripe = world.stripe;
  basic = await stripe.prices.create({
    currency: "usd",
    unit_amount: 1000,
    recurring: { interval: "month" },
    product_data: { name: "Basic" },
  });
  pro = await stripe.prices.create({
    currency: "usd",
    unit_amount: 3000,
    recurring: { interval: "month" },
    product_data: { name: "Pro" },
  });
  proYearly = await stripe.prices.create({
    currency: "usd",
    unit_amount: 30_000,
    recurring: { interval: "year" },
    product: String(pro.product),
  });
});
afterAll(() => world.close());
beforeEach(async () => {
  world.sandbox.control.wellBehaved();
  await world.sandbox.control.idle();
  world.receiver.clear();
});

async function subscribe(price = basic): Promise<{
  subscription: Stripe.Subscription;
  customer: string;
  session: Stripe.Checkout.Session;
}> {
  const customer = await stripe.customers.create({ email: "member@example.com" });
  const open = await stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    line_items: [{ price: price.id, quantity: 1 }],
    success_url: "http://localhost:3000/done",
    subscription_data: { metadata: { userId: "u1" } },
  });
  world.sandbox.control.completeCheckout(open.id);
  const session = await stripe.checkout.sessions.retrieve(open.id, {
    expand: ["subscription", "invoice.payments"],
  });
  return {
    subscription: session.subscription as Stripe.Subscription,
    customer: customer.id,
    session,
  };
}

const item = (subscription: Stripe.Subscription): Stripe.SubscriptionItem => {
  const [first] = subscription.items.data;
  if (first === undefined) throw new Error("no item");
  return first;
};
const day = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10);
const invoicesOf = async (subscription: Stripe.Subscription): Promise<Stripe.Invoice[]> =>
  (await stripe.invoices.list({ subscription: subscription.id, limit: 100 })).data;

describe("a subscription", () => {
  it("starts paid through checkout, with its invoice, payment and events", async () => {
    const { subscription, customer, session } = await subscribe();
    expect(session).toMatchObject({
      status: "complete",
      payment_status: "paid",
      mode: "subscription",
    });
    expect(subscription).toMatchObject({
      status: "active",
      customer,
      metadata: { userId: "u1" },
      cancel_at_period_end: false,
    });
    expect(item(subscription).price.id).toBe(basic.id);
    const invoice = session.invoice as Stripe.Invoice;
    expect(invoice).toMatchObject({
      status: "paid",
      billing_reason: "subscription_create",
      amount_paid: 1000,
      customer,
    });
    expect(invoice.parent?.subscription_details).toMatchObject({
      subscription: subscription.id,
      metadata: { userId: "u1" },
    });
    const [line] = invoice.lines.data;
    expect(line?.pricing?.price_details?.price).toBe(basic.id);
    expect(line?.parent?.subscription_item_details).toMatchObject({
      proration: false,
      subscription_item: item(subscription).id,
    });
    expect(line?.period).toEqual({
      start: item(subscription).current_period_start,
      end: item(subscription).current_period_end,
    });
    const payment = invoice.payments?.data[0];
    expect(payment).toMatchObject({ status: "paid", amount_paid: 1000 });
    const byIntent = await stripe.invoicePayments.list({
      payment: { type: "payment_intent", payment_intent: String(payment?.payment.payment_intent) },
    });
    expect(byIntent.data[0]?.invoice).toBe(invoice.id);
    await world.sandbox.control.idle();
    const order = [
      "invoice.created",
      "customer.subscription.created",
      "invoice.finalized",
      "charge.succeeded",
      "payment_intent.succeeded",
      "invoice.paid",
      "invoice.payment_succeeded",
      "customer.subscription.updated",
      "checkout.session.completed",
    ];
    expect(world.receiver.types().filter((type) => order.includes(type))).toEqual(order);
  });

  it("renews from its anchor, month end by month end, without drift", async () => {
    const { subscription } = await subscribe();
    expect(day(item(subscription).current_period_start)).toBe("2027-01-31");
    world.sandbox.control.advance({ months: 14 });
    const invoices = await invoicesOf(subscription);
    const starts = invoices
      .map((invoice) => day(invoice.lines.data[0]?.period.start ?? 0))
      .reverse();
    expect(starts).toEqual([
      "2027-01-31",
      "2027-02-28",
      "2027-03-31",
      "2027-04-30",
      "2027-05-31",
      "2027-06-30",
      "2027-07-31",
      "2027-08-31",
      "2027-09-30",
      "2027-10-31",
      "2027-11-30",
      "2027-12-31",
      "2028-01-31",
      "2028-02-29",
      "2028-03-31",
    ]);
    // The last one is still a draft: it is finalised an hour after the renewal.
    expect(invoices.map((invoice) => invoice.status).slice(0, 3)).toEqual([
      "draft",
      "paid",
      "paid",
    ]);
    expect(invoices[1]?.billing_reason).toBe("subscription_cycle");
    world.sandbox.control.advance({ hours: 2 });
    expect((await invoicesOf(subscription))[0]?.status).toBe("paid");
    await world.sandbox.control.idle();
    const renewal = world.receiver.received.find(
      (it) =>
        it.type === "customer.subscription.updated" &&
        (it.data.object as Stripe.Subscription).id === subscription.id &&
        JSON.stringify(it.data.previous_attributes).includes("current_period_end"),
    );
    expect(renewal?.data.previous_attributes).toHaveProperty("latest_invoice");
  });

  it("falls past due when the card fails, and recovers with a good one", async () => {
    const { subscription, customer } = await subscribe();
    world.sandbox.control.setCard(customer, "failing");
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const late = await stripe.subscriptions.retrieve(subscription.id, {
      expand: ["latest_invoice"],
    });
    expect(late.status).toBe("past_due");
    expect(late.latest_invoice).toMatchObject({
      status: "open",
      attempt_count: 1,
      attempted: true,
    });
    const open = late.latest_invoice as Stripe.Invoice;
    await expect(stripe.invoices.pay(open.id ?? "")).rejects.toMatchObject({
      type: "StripeCardError",
      statusCode: 402,
      code: "card_declined",
    });
    world.sandbox.control.setCard(customer, "ok");
    world.sandbox.control.advance({ days: 8 });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("active");
    expect((await stripe.invoices.retrieve(open.id ?? "")).status).toBe("paid");
    await world.sandbox.control.idle();
    const types = world.receiver.types();
    expect(types.indexOf("invoice.payment_failed")).toBeLessThan(types.lastIndexOf("invoice.paid"));
  });

  it("is canceled after the last retry", async () => {
    const { subscription, customer } = await subscribe();
    world.sandbox.control.setCard(customer, "failing");
    world.sandbox.control.advance({ months: 1, days: 20 });
    const ended = await stripe.subscriptions.retrieve(subscription.id, {
      expand: ["latest_invoice"],
    });
    expect(ended).toMatchObject({
      status: "canceled",
      cancellation_details: { reason: "payment_failed" },
    });
    expect(ended.latest_invoice).toMatchObject({
      status: "open",
      attempt_count: 4,
      next_payment_attempt: null,
    });
    expect((await stripe.subscriptions.list({ customer })).data).toHaveLength(0);
    expect((await stripe.subscriptions.list({ customer, status: "all" })).data).toHaveLength(1);
  });

  it("ends at the period's end when asked, unless resumed before", async () => {
    const { subscription } = await subscribe();
    const ending = await stripe.subscriptions.update(subscription.id, {
      cancel_at_period_end: true,
    });
    expect(ending).toMatchObject({
      cancel_at_period_end: true,
      cancel_at: item(subscription).current_period_end,
      status: "active",
    });
    const resumed = await stripe.subscriptions.update(subscription.id, {
      cancel_at_period_end: false,
    });
    expect(resumed).toMatchObject({
      cancel_at_period_end: false,
      cancel_at: null,
      canceled_at: null,
    });
    world.sandbox.control.advance({ months: 1, hours: 2 });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("active");
    await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
    world.receiver.clear();
    world.sandbox.control.advance({ months: 1, hours: 2 });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("canceled");
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toContain("customer.subscription.deleted");
    await expect(stripe.subscriptions.cancel(subscription.id)).rejects.toMatchObject({
      statusCode: 404,
    });
  });
});

describe("a change of plan", () => {
  it("costs exactly what the preview said, at once", async () => {
    const { subscription } = await subscribe();
    world.sandbox.control.advance({ days: 14 });
    const prorationDate = Math.floor(world.sandbox.control.now().getTime() / 1000);
    const items = [{ id: item(subscription).id, price: pro.id }];
    const preview = await stripe.invoices.createPreview({
      subscription: subscription.id,
      subscription_details: {
        items,
        proration_behavior: "always_invoice",
        proration_date: prorationDate,
      },
    });
    const { current_period_start: start, current_period_end: end } = item(subscription);
    const share = (end - prorationDate) / (end - start);
    expect(preview.amount_due).toBe(Math.round(3000 * share) - Math.round(1000 * share));
    expect(
      preview.lines.data.every((line) => line.parent?.subscription_item_details?.proration),
    ).toBe(true);
    world.sandbox.control.advance({ hours: 3 });
    const changed = await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "always_invoice",
      proration_date: prorationDate,
      payment_behavior: "pending_if_incomplete",
      expand: ["latest_invoice"],
    });
    expect(item(changed).price.id).toBe(pro.id);
    expect(item(changed).id).toBe(item(subscription).id);
    expect(changed.latest_invoice).toMatchObject({
      status: "paid",
      billing_reason: "subscription_update",
      amount_paid: preview.amount_due,
    });
    expect(item(changed).current_period_end).toBe(end);
  });

  it("waits as a pending update while the money is missing, and is applied when it comes", async () => {
    const { subscription, customer } = await subscribe();
    world.sandbox.control.setCard(customer, "failing");
    const items = [{ id: item(subscription).id, price: pro.id }];
    const waiting = await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
      expand: ["latest_invoice"],
    });
    expect(item(waiting).price.id).toBe(basic.id);
    expect(waiting.status).toBe("active");
    expect(waiting.pending_update?.subscription_items?.[0]?.price.id).toBe(pro.id);
    expect(waiting.latest_invoice).toMatchObject({ status: "open" });
    world.sandbox.control.setCard(customer, "ok");
    await stripe.invoices.pay((waiting.latest_invoice as Stripe.Invoice).id ?? "");
    const applied = await stripe.subscriptions.retrieve(subscription.id);
    expect(item(applied).price.id).toBe(pro.id);
    expect(applied.pending_update).toBeNull();
  });

  it("is dropped with its invoice when the money never comes", async () => {
    const { subscription, customer } = await subscribe();
    world.sandbox.control.setCard(customer, "failing");
    const waiting = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: item(subscription).id, price: pro.id }],
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
    });
    world.sandbox.control.advance({ hours: 24 });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(after.pending_update).toBeNull();
    expect(item(after).price.id).toBe(basic.id);
    expect((await stripe.invoices.retrieve(String(waiting.latest_invoice))).status).toBe("void");
  });

  it("changes nothing with error_if_incomplete and a failing card", async () => {
    const { subscription, customer } = await subscribe();
    world.sandbox.control.setCard(customer, "failing");
    const items = [{ id: item(subscription).id, price: pro.id }];
    await expect(
      stripe.subscriptions.update(subscription.id, {
        items,
        proration_behavior: "always_invoice",
        payment_behavior: "error_if_incomplete",
      }),
    ).rejects.toMatchObject({ type: "StripeCardError", statusCode: 402 });
    expect(item(await stripe.subscriptions.retrieve(subscription.id)).price.id).toBe(basic.id);
    expect(await invoicesOf(subscription)).toHaveLength(1);
  });

  it("to a yearly price starts a new cycle now, crediting what is unused", async () => {
    const { subscription } = await subscribe(pro);
    world.sandbox.control.advance({ days: 10 });
    const now = Math.floor(world.sandbox.control.now().getTime() / 1000);
    const changed = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: item(subscription).id, price: proYearly.id }],
      proration_behavior: "always_invoice",
      expand: ["latest_invoice"],
    });
    expect(changed.billing_cycle_anchor).toBe(now);
    expect(item(changed).current_period_start).toBe(now);
    const invoice = changed.latest_invoice as Stripe.Invoice;
    expect(
      invoice.lines.data.map((line) => line.parent?.subscription_item_details?.proration),
    ).toEqual([true, false]);
    expect(invoice.lines.data[0]?.amount).toBeLessThan(0);
    expect(invoice.lines.data[1]?.amount).toBe(30_000);
  });

  it("to a cheaper price with prorations lowers the next invoice, and a surplus stays as credit", async () => {
    const { subscription, customer } = await subscribe(pro);
    world.sandbox.control.advance({ days: 1 });
    const items = [{ id: item(subscription).id, price: basic.id }];
    const down = await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "always_invoice",
      expand: ["latest_invoice"],
    });
    const credit = down.latest_invoice as Stripe.Invoice;
    expect(credit).toMatchObject({ status: "paid", amount_due: 0 });
    expect(credit.total).toBeLessThan(0);
    expect(((await stripe.customers.retrieve(customer)) as Stripe.Customer).balance).toBe(
      credit.total,
    );
    const next = await stripe.invoices.createPreview({ subscription: subscription.id });
    expect(next).toMatchObject({ total: 1000, amount_due: 0, starting_balance: credit.total });
    const none = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: item(subscription).id, price: pro.id }],
      proration_behavior: "none",
    });
    expect(none.latest_invoice).toBe(credit.id);
    await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "create_prorations",
    });
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [renewal] = await invoicesOf(subscription);
    expect(renewal?.lines.data).toHaveLength(3);
  });
});

describe("money back", () => {
  async function buy(): Promise<{ intent: string; customer: string }> {
    const customer = await stripe.customers.create({ email: "refund@example.com" });
    const session = await stripe.checkout.sessions.create({
      mode: "payment",
      customer: customer.id,
      success_url: "http://localhost:3000/",
      line_items: [
        {
          quantity: 2,
          price_data: { currency: "usd", unit_amount: 500, product_data: { name: "Credits" } },
        },
      ],
    });
    return {
      intent: String(world.sandbox.control.completeCheckout(session.id).payment_intent),
      customer: customer.id,
    };
  }

  it("comes in parts up to the whole, never more", async () => {
    const { intent } = await buy();
    const first = await stripe.refunds.create({
      payment_intent: intent,
      amount: 300,
      reason: "requested_by_customer",
      metadata: { paymentId: "p1" },
    });
    expect(first).toMatchObject({
      status: "succeeded",
      amount: 300,
      reason: "requested_by_customer",
      payment_intent: intent,
    });
    await expect(
      stripe.refunds.create({ payment_intent: intent, amount: 701 }),
    ).rejects.toMatchObject({ code: "amount_too_large" });
    await stripe.refunds.create({ payment_intent: intent });
    await expect(stripe.refunds.create({ payment_intent: intent })).rejects.toMatchObject({
      code: "charge_already_refunded",
    });
    const read = await stripe.paymentIntents.retrieve(intent, {
      expand: ["latest_charge.refunds"],
    });
    const charge = read.latest_charge as Stripe.Charge;
    expect(charge).toMatchObject({ refunded: true, amount_refunded: 1000 });
    expect(charge.refunds?.data.map((it) => it.amount)).toEqual([700, 300]);
    await world.sandbox.control.idle();
    const refunded = world.receiver.received.filter((it) => it.type === "charge.refunded");
    expect(refunded.map((it) => (it.data.object as Stripe.Charge).amount_refunded)).toEqual([
      300, 1000,
    ]);
    expect(refunded[0]?.data.previous_attributes).toEqual({ amount_refunded: 0 });
  });

  it("can be pending and then fail, which gives the charge its amount back", async () => {
    const { intent } = await buy();
    world.sandbox.control.nextRefunds("pending");
    const refund = await stripe.refunds.create({ payment_intent: intent });
    expect(refund.status).toBe("pending");
    world.sandbox.control.settleRefund(refund.id, false);
    expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({
      status: "failed",
      failure_reason: "expired_or_canceled_card",
    });
    const [charge] = (await stripe.charges.list({ payment_intent: intent })).data;
    expect(charge).toMatchObject({ refunded: false, amount_refunded: 0 });
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toEqual(
      expect.arrayContaining(["refund.created", "refund.updated", "refund.failed"]),
    );
  });

  it.each(["won", "lost"] as const)(
    "is taken by a dispute and, when %s, announced so",
    async (outcome) => {
      const { intent } = await buy();
      const dispute = world.sandbox.control.openDispute(intent);
      expect((await stripe.disputes.list({ payment_intent: intent })).data[0]).toMatchObject({
        id: dispute.id,
        status: "needs_response",
        amount: 1000,
      });
      await expect(stripe.refunds.create({ payment_intent: intent })).rejects.toMatchObject({
        code: "charge_disputed",
      });
      world.sandbox.control.closeDispute(dispute.id, outcome);
      expect((await stripe.disputes.retrieve(dispute.id)).status).toBe(outcome);
      await world.sandbox.control.idle();
      const types = world.receiver.types().filter((type) => type.startsWith("charge.dispute"));
      expect(types).toEqual([
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        ...(outcome === "won" ? ["charge.dispute.funds_reinstated"] : []),
        "charge.dispute.closed",
      ]);
    },
  );
});

describe("the clocks", () => {
  it("an injected clock moves everything: sessions expire, subscriptions renew", async () => {
    const { subscription } = await subscribe();
    const open = await stripe.checkout.sessions.create({
      mode: "payment",
      success_url: "http://localhost:3000/",
      line_items: [
        {
          quantity: 1,
          price_data: { currency: "usd", unit_amount: 500, product_data: { name: "Credits" } },
        },
      ],
    });
    wallMs += 32 * 86_400_000;
    world.sandbox.control.tick();
    expect((await stripe.checkout.sessions.retrieve(open.id)).status).toBe("expired");
    expect((await invoicesOf(subscription)).length).toBe(2);
  });
});
