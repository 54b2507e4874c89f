// Subscriptions on the Stripe stand-in start, renew, fail, recover and end as at Stripe.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, invoicesOf, itemOf, subscribe, usePlans, useWorld } from "./support.ts";

let wallMs = Date.parse("2027-01-31T10:00:00Z");
const world = useWorld({ clock: () => new Date(wallMs) });
const { stripe } = world;
const plans = usePlans(world);
const day = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10);

describe("a subscription", () => {
  it("starts paid through checkout, with its invoice, payment and events", async () => {
    const { subscription, customer, session } = await subscribe(world, plans.basic);
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
    expect(itemOf(subscription).price.id).toBe(plans.basic.id);
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
    expect(line?.pricing?.price_details?.price).toBe(plans.basic.id);
    expect(line?.parent?.subscription_item_details).toMatchObject({
      proration: false,
      subscription_item: itemOf(subscription).id,
    });
    expect(line?.period).toEqual({
      start: itemOf(subscription).current_period_start,
      end: itemOf(subscription).current_period_end,
    });
    const payment = invoice.payments?.data[0];
    expect(payment).toMatchObject({ status: "paid", amount_paid: 1000 });
    const byIntent = await stripe.invoicePayments.list({
      payment: { type: "payment_intent", payment_intent: idOf(payment?.payment.payment_intent) },
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
    const { subscription } = await subscribe(world, plans.basic);
    expect(day(itemOf(subscription).current_period_start)).toBe("2027-01-31");
    world.sandbox.control.advance({ months: 14 });
    const invoices = await invoicesOf(stripe, subscription);
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
    // The newest one is still a draft, because it is finalised an hour after the renewal.
    expect(invoices.map((invoice) => invoice.status).slice(0, 3)).toEqual([
      "draft",
      "paid",
      "paid",
    ]);
    expect(invoices[1]?.billing_reason).toBe("subscription_cycle");
    world.sandbox.control.advance({ hours: 2 });
    expect((await invoicesOf(stripe, subscription))[0]?.status).toBe("paid");
    await world.sandbox.control.idle();
    const renewal = world.receiver.received.find(
      (it) =>
        it.type === "customer.subscription.updated" &&
        it.data.object.id === subscription.id &&
        JSON.stringify(it.data.previous_attributes).includes("current_period_end"),
    );
    expect(renewal?.data.previous_attributes).toHaveProperty("latest_invoice");
  });

  it("falls past due when the card fails, and recovers with a good one", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
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
    const { subscription, customer } = await subscribe(world, plans.basic);
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
    const { subscription } = await subscribe(world, plans.basic);
    const ending = await stripe.subscriptions.update(subscription.id, {
      cancel_at_period_end: true,
    });
    expect(ending).toMatchObject({
      cancel_at_period_end: true,
      cancel_at: itemOf(subscription).current_period_end,
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

describe("lists and coupons", () => {
  it("expands through lists and finds a subscription's invoices by customer and status", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    const [listed] = (
      await stripe.subscriptions.list({
        customer,
        expand: ["data.latest_invoice.payments", "data.customer"],
      })
    ).data;
    expect(listed?.customer).toMatchObject({ id: customer, email: "member@example.com" });
    expect(listed?.latest_invoice).toMatchObject({ payments: { data: [{ status: "paid" }] } });
    expect((await stripe.invoices.list({ customer, status: "paid" })).data).toHaveLength(1);
    expect((await stripe.invoices.list({ customer, status: "open" })).data).toHaveLength(0);
    await expect(
      stripe.subscriptions.retrieve(subscription.id, { expand: ["nonsense"] }),
    ).rejects.toMatchObject({ statusCode: 400, code: "property_cannot_be_expanded" });
  });

  it("a lasting coupon lowers every invoice, down to nothing without a payment", async () => {
    const coupon = await stripe.coupons.create({ percent_off: 100, duration: "forever" });
    const customer = await stripe.customers.create({ email: "free@example.com" });
    const open = await stripe.checkout.sessions.create({
      mode: "subscription",
      customer: customer.id,
      line_items: [{ price: plans.basic.id, quantity: 1 }],
      discounts: [{ coupon: coupon.id }],
      success_url: "http://localhost:3000/",
    });
    const done = world.sandbox.control.completeCheckout(open.id);
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const invoices = (
      await stripe.invoices.list({
        subscription: done.subscription ?? "",
        expand: ["data.payments"],
      })
    ).data;
    expect(
      invoices.map((it) => [it.status, it.subtotal, it.total, it.payments?.data.length]),
    ).toEqual([
      ["paid", 1000, 0, 0],
      ["paid", 1000, 0, 0],
    ]);
  });
});

describe("the clocks", () => {
  it("an injected clock moves everything: sessions expire, subscriptions renew", async () => {
    const { subscription } = await subscribe(world, plans.basic);
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
    expect((await invoicesOf(stripe, subscription)).length).toBe(2);
  });
});
