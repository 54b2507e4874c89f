// Free trials on the Stripe stand-in: nothing is paid, notice is given, and billing begins when the trial ends.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { invoicesOf, itemOf, usePlans, useWorld } from "./support.ts";

const DAY = 86_400;
const start = Date.parse("2027-01-10T10:00:00Z");
const world = useWorld({ clock: () => new Date(start) });
const { stripe } = world;
const plans = usePlans(world);

async function open(
  price: Stripe.Price,
  trial: Stripe.Checkout.SessionCreateParams.SubscriptionData,
): Promise<Stripe.Checkout.Session> {
  const customer = await stripe.customers.create({ email: "trial@example.com" });
  return stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    line_items: [{ price: price.id, quantity: 1 }],
    success_url: "http://localhost:3000/done",
    subscription_data: trial,
  });
}

async function onTrial(days: number, price = plans.basic): Promise<Stripe.Subscription> {
  const { id } = await open(price, { trial_period_days: days });
  world.sandbox.control.completeCheckout(id);
  const session = await stripe.checkout.sessions.retrieve(id, { expand: ["subscription"] });
  return session.subscription as Stripe.Subscription;
}

const again = ({ id }: Stripe.Subscription) => stripe.subscriptions.retrieve(id);
const notices = ({ id }: Stripe.Subscription): Stripe.Event[] =>
  world.receiver.received.filter(
    ({ type, data }) =>
      type === "customer.subscription.trial_will_end" && (data.object as { id: string }).id === id,
  );
const nowSeconds = (): number => Math.floor(world.sandbox.control.now().getTime() / 1000);

describe("a trial", () => {
  it("costs nothing: a paid invoice of nothing, no payment, the period and the anchor at its end", async () => {
    const { id, amount_total: total } = await open(plans.basic, { trial_period_days: 14 });
    expect(total).toBe(0);
    world.sandbox.control.completeCheckout(id);
    const session = await stripe.checkout.sessions.retrieve(id, {
      expand: ["subscription", "invoice", "line_items"],
    });
    expect(session).toMatchObject({ status: "complete", payment_status: "no_payment_required" });
    expect(session.line_items?.data[0]?.amount_total).toBe(0);
    const subscription = session.subscription as Stripe.Subscription;
    const start = nowSeconds();
    expect(subscription).toMatchObject({
      status: "trialing",
      trial_start: start,
      trial_end: start + 14 * DAY,
      billing_cycle_anchor: start + 14 * DAY,
    });
    expect(itemOf(subscription)).toMatchObject({
      current_period_start: start,
      current_period_end: start + 14 * DAY,
    });
    const invoice = session.invoice as Stripe.Invoice;
    expect(invoice).toMatchObject({
      status: "paid",
      amount_due: 0,
      amount_paid: 0,
      billing_reason: "subscription_create",
    });
    expect(invoice.lines.data).toMatchObject([
      { amount: 0, description: "Trial period for Basic", period: { end: start + 14 * DAY } },
    ]);
    await world.sandbox.control.idle();
    const types = world.receiver.types();
    expect(types).not.toContain("charge.succeeded");
    expect(types).toContain("invoice.paid");
  });

  it("gives notice three days before its end, once, and becomes a paid subscription", async () => {
    const subscription = await onTrial(14);
    world.sandbox.control.advance({ days: 10, hours: 23 });
    await world.sandbox.control.idle();
    expect(notices(subscription)).toEqual([]);
    world.sandbox.control.advance({ hours: 2 });
    await world.sandbox.control.idle();
    expect(notices(subscription)).toHaveLength(1);
    world.sandbox.control.advance({ days: 3, hours: 1 });
    await world.sandbox.control.idle();
    expect(notices(subscription)).toHaveLength(1);
    const paid = await again(subscription);
    expect(paid).toMatchObject({ status: "active", trial_end: subscription.trial_end });
    expect(itemOf(paid).current_period_start).toBe(subscription.trial_end);
    const [first] = await invoicesOf(stripe, subscription);
    expect(first).toMatchObject({
      status: "paid",
      billing_reason: "subscription_cycle",
      amount_paid: 1000,
    });
  });

  it("shorter than the notice gives it at once", async () => {
    const subscription = await onTrial(2);
    await world.sandbox.control.idle();
    expect(notices(subscription)).toHaveLength(1);
  });

  it("whose card fails at the end is past due from there", async () => {
    const subscription = await onTrial(7);
    const { customer } = subscription;
    world.sandbox.control.setCard(typeof customer === "string" ? customer : customer.id, "failing");
    world.sandbox.control.advance({ days: 7, hours: 2 });
    expect(await again(subscription)).toMatchObject({ status: "past_due" });
  });

  it("cancelled at its end, or at once, ends with no payment", async () => {
    const later = await onTrial(7);
    const ending = await stripe.subscriptions.update(later.id, { cancel_at_period_end: true });
    expect(ending.cancel_at).toBe(later.trial_end);
    const now = await onTrial(7);
    await stripe.subscriptions.cancel(now.id, { prorate: true, invoice_now: true });
    world.sandbox.control.advance({ days: 8 });
    for (const one of [later, now]) {
      expect((await again(one)).status).toBe("canceled");
      expect((await invoicesOf(stripe, one)).map(({ total }) => total)).toEqual([0]);
    }
  });

  it("goes on through a change of plan and of interval, at no cost", async () => {
    const subscription = await onTrial(7);
    for (const price of [plans.pro, plans.proYearly]) {
      const changed = await stripe.subscriptions.update(subscription.id, {
        items: [{ id: itemOf(subscription).id, price: price.id }],
        proration_behavior: "always_invoice",
      });
      expect(changed).toMatchObject({ status: "trialing", trial_end: subscription.trial_end });
      expect(itemOf(changed).price.id).toBe(price.id);
    }
    expect(await invoicesOf(stripe, subscription)).toHaveLength(1);
    world.sandbox.control.advance({ days: 7, hours: 2 });
    const [first] = await invoicesOf(stripe, subscription);
    expect(first?.amount_paid).toBe(30_000);
  });

  it("ends now when told so, and is paid from now on", async () => {
    const subscription = await onTrial(30);
    world.sandbox.control.advance({ days: 5 });
    const ended = await stripe.subscriptions.update(subscription.id, { trial_end: "now" });
    expect(ended).toMatchObject({ status: "active", billing_cycle_anchor: nowSeconds() });
    expect((await invoicesOf(stripe, subscription)).map(({ total }) => total)).toEqual([1000, 0]);
  });

  it("may be made longer at no cost, and be given to somebody who has paid, for what is unused", async () => {
    const subscription = await onTrial(7);
    const end = nowSeconds() + 20 * DAY;
    const longer = await stripe.subscriptions.update(subscription.id, { trial_end: end });
    expect(longer).toMatchObject({ status: "trialing", trial_end: end, billing_cycle_anchor: end });
    expect(await invoicesOf(stripe, subscription)).toHaveLength(1);
    world.sandbox.control.advance({ days: 20, hours: 2 });
    expect(await again(subscription)).toMatchObject({ status: "active" });
    const given = await stripe.subscriptions.update(subscription.id, {
      trial_end: nowSeconds() + 10 * DAY,
    });
    expect(given.status).toBe("trialing");
    const [latest] = await invoicesOf(stripe, subscription);
    expect(latest?.total).toBeLessThan(-990);
    expect(latest?.lines.data.map(({ amount }) => amount > 0)).toEqual([false, false]);
  });

  it("ends with a schedule's phase that names none, and stays with one that does", async () => {
    const subscription = await onTrial(7);
    const schedule = await stripe.subscriptionSchedules.create({
      from_subscription: subscription.id,
    });
    const [phase] = schedule.phases;
    expect(phase?.trial_end).toBe(subscription.trial_end);
    const phases = (trial: boolean): Stripe.SubscriptionScheduleUpdateParams.Phase[] => [
      {
        items: [{ price: plans.basic.id, quantity: 1 }],
        start_date: phase?.start_date,
        end_date: phase?.end_date,
        ...(trial ? { trial } : {}),
      },
      { items: [{ price: plans.pro.id, quantity: 1 }] },
    ];
    await stripe.subscriptionSchedules.update(schedule.id, { phases: phases(true) });
    expect((await again(subscription)).status).toBe("trialing");
    await stripe.subscriptionSchedules.update(schedule.id, { phases: phases(false) });
    expect((await again(subscription)).status).toBe("active");
  });

  it.each([
    [{ trial_period_days: 0 }],
    [{ trial_period_days: 731 }],
    [{ trial_period_days: 7, trial_end: 1_900_000_000 }],
    [{ trial_end: 1_800_000_000 }],
  ])("is refused as %o", async (trial) => {
    await expect(open(plans.basic, trial)).rejects.toMatchObject({ statusCode: 400 });
  });

  it("has no end in the past", async () => {
    const subscription = await onTrial(7);
    const past = stripe.subscriptions.update(subscription.id, { trial_end: nowSeconds() - 1 });
    await expect(past).rejects.toMatchObject({ statusCode: 400, param: "trial_end" });
  });
});
