// Subscription schedules on the Stripe stand-in change a plan when the real ones would.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, invoicesOf, itemOf, subscribe, usePlans, useWorld } from "./support.ts";

const world = useWorld();
const { stripe } = world;
const plans = usePlans(world);

/** Pro until the period ends, then `price` for one month. */
async function downgrade(
  subscription: Stripe.Subscription,
  price: string,
  options: { proration_behavior?: "none"; end_behavior?: "cancel" | "release" } = {},
): Promise<Stripe.SubscriptionSchedule> {
  const made = await stripe.subscriptionSchedules.create({ from_subscription: subscription.id });
  const [current] = made.phases;
  if (current === undefined) throw new Error("no phase");
  return stripe.subscriptionSchedules.update(made.id, {
    ...(options.end_behavior === undefined ? {} : { end_behavior: options.end_behavior }),
    metadata: { userId: "u1" },
    phases: [
      {
        items: current.items.map((item) => ({ price: idOf(item.price), quantity: item.quantity })),
        start_date: current.start_date,
        end_date: current.end_date,
      },
      {
        items: [{ price, quantity: 1 }],
        duration: { interval: "month", interval_count: 1 },
        proration_behavior: "none",
        metadata: { plan: "basic" },
      },
    ],
  });
}

describe("a schedule made of a subscription", () => {
  it("has one phase, the current period, and is named by the subscription", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    const schedule = await stripe.subscriptionSchedules.create({
      from_subscription: subscription.id,
    });
    const item = itemOf(subscription);
    expect(schedule).toMatchObject({
      object: "subscription_schedule",
      status: "active",
      end_behavior: "release",
      subscription: subscription.id,
      current_phase: { start_date: item.current_period_start, end_date: item.current_period_end },
      phases: [
        {
          start_date: item.current_period_start,
          end_date: item.current_period_end,
          items: [{ price: plans.pro.id, quantity: 1 }],
        },
      ],
    });
    const after = await stripe.subscriptions.retrieve(subscription.id, { expand: ["schedule"] });
    expect((after.schedule as Stripe.SubscriptionSchedule).id).toBe(schedule.id);
    expect(
      (await stripe.subscriptionSchedules.list({ customer: idOf(subscription.customer) })).data,
    ).toHaveLength(1);
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toContain("subscription_schedule.created");
  });

  it("is refused with Stripe's words when it cannot be made or changed", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    await expect(
      stripe.subscriptionSchedules.create({
        from_subscription: subscription.id,
        metadata: { a: "b" },
      }),
    ).rejects.toMatchObject({
      statusCode: 400,
      message: "You cannot set `metadata` if `from_subscription` is set.",
    });
    const schedule = await stripe.subscriptionSchedules.create({
      from_subscription: subscription.id,
    });
    await expect(
      stripe.subscriptionSchedules.create({ from_subscription: subscription.id }),
    ).rejects.toMatchObject({
      message: `You cannot migrate a subscription that is already attached to a schedule: \`${schedule.id}\`.`,
    });
    await expect(
      stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true }),
    ).rejects.toThrow("updating any cancelation behavior directly is not allowed");
    await expect(
      stripe.subscriptionSchedules.update(schedule.id, {
        phases: [{ items: [{ price: plans.basic.id }] }],
      }),
    ).rejects.toThrow("missing at least one phase with a `start_date`");
    await stripe.subscriptionSchedules.release(schedule.id);
    await expect(stripe.subscriptionSchedules.cancel(schedule.id)).rejects.toThrow(
      "It must be in `not_started, active` status to be canceled.",
    );
    await stripe.subscriptions.cancel(subscription.id);
    await expect(
      stripe.subscriptionSchedules.create({ from_subscription: subscription.id }),
    ).rejects.toThrow("currently in the `canceled` status");
  });
});

describe("a downgrade by schedule", () => {
  it("renews at the new price when the period ends, with no proration", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    world.sandbox.control.advance({ days: 10 });
    const schedule = await downgrade(subscription, plans.basic.id);
    expect(itemOf(await stripe.subscriptions.retrieve(subscription.id)).price.id).toBe(
      plans.pro.id,
    );
    expect(await invoicesOf(stripe, subscription)).toHaveLength(1);
    const preview = await stripe.invoices.createPreview({ subscription: subscription.id });
    expect(preview.amount_due).toBe(1000);
    world.receiver.clear();
    world.sandbox.control.advance({ days: 22 });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(after.status).toBe("active");
    expect(itemOf(after).price.id).toBe(plans.basic.id);
    expect(after.items.data).toHaveLength(1);
    expect(after.metadata).toMatchObject({ userId: "u1", plan: "basic" });
    expect(after.schedule).toBe(schedule.id);
    const [renewal, ...earlier] = await invoicesOf(stripe, subscription);
    expect(earlier).toHaveLength(1);
    expect(renewal).toMatchObject({
      billing_reason: "subscription_cycle",
      status: "paid",
      total: 1000,
    });
    expect(renewal?.lines.data.map((line) => line.amount)).toEqual([1000]);
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toContain("subscription_schedule.updated");
    // When the second phase ends, the schedule releases the subscription, which continues.
    world.sandbox.control.advance({ months: 1 });
    const ended = await stripe.subscriptionSchedules.retrieve(schedule.id);
    expect(ended).toMatchObject({
      status: "released",
      subscription: null,
      released_subscription: subscription.id,
      current_phase: null,
    });
    const free = await stripe.subscriptions.retrieve(subscription.id);
    expect(free).toMatchObject({ schedule: null, status: "active" });
    expect(await invoicesOf(stripe, subscription)).toHaveLength(3);
  });

  it("is undone free of charge by a release before the period ends", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    const schedule = await downgrade(subscription, plans.basic.id);
    expect((await stripe.subscriptionSchedules.release(schedule.id)).status).toBe("released");
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(itemOf(after).price.id).toBe(plans.pro.id);
    expect(after.schedule).toBeNull();
    expect((await invoicesOf(stripe, subscription)).map((it) => it.total)).toEqual([3000, 3000]);
  });

  it("to a yearly price starts the year when the period ends", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    await downgrade(subscription, plans.proYearly.id);
    const end = itemOf(subscription).current_period_end;
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(itemOf(after).current_period_start).toBe(end);
    expect(itemOf(after).current_period_end - end).toBeGreaterThan(364 * 86_400);
    expect((await invoicesOf(stripe, subscription))[0]?.total).toBe(30_000);
  });
});

describe("a schedule that runs", () => {
  it("ends the subscription with its last phase when end_behavior is cancel", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    const schedule = await downgrade(subscription, plans.basic.id, { end_behavior: "cancel" });
    const planned = await stripe.subscriptions.retrieve(subscription.id);
    expect(planned.cancel_at).toBe(schedule.phases[1]?.end_date);
    world.sandbox.control.advance({ months: 2, hours: 3 });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("canceled");
    expect((await stripe.subscriptionSchedules.retrieve(schedule.id)).status).toBe("completed");
  });

  it("is canceled together with its subscription, from either side", async () => {
    const one = await subscribe(world, plans.pro);
    const first = await downgrade(one.subscription, plans.basic.id);
    await stripe.subscriptionSchedules.cancel(first.id);
    expect((await stripe.subscriptions.retrieve(one.subscription.id)).status).toBe("canceled");
    const two = await subscribe(world, plans.pro);
    const second = await downgrade(two.subscription, plans.basic.id);
    await stripe.subscriptions.cancel(two.subscription.id);
    const ended = await stripe.subscriptionSchedules.retrieve(second.id);
    expect(ended.status).toBe("canceled");
    expect(ended.canceled_at).not.toBeNull();
  });

  it("prorates a phase that begins in mid-period by that phase's behaviour", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    const made = await stripe.subscriptionSchedules.create({ from_subscription: subscription.id });
    const [current] = made.phases;
    const start = current?.start_date ?? 0;
    const middle = start + 10 * 86_400;
    await stripe.subscriptionSchedules.update(made.id, {
      phases: [
        { items: [{ price: plans.basic.id, quantity: 1 }], start_date: start, end_date: middle },
        {
          items: [{ price: plans.pro.id, quantity: 2 }],
          proration_behavior: "always_invoice",
          duration: { interval: "month" },
        },
      ],
    });
    world.sandbox.control.advance({ days: 11 });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(itemOf(after)).toMatchObject({ quantity: 2, price: { id: plans.pro.id } });
    const [change] = await invoicesOf(stripe, subscription);
    expect(change).toMatchObject({ billing_reason: "subscription_update", status: "paid" });
    const amounts = change?.lines.data.map((line) => line.amount) ?? [];
    expect(amounts.filter((amount) => amount < 0)).toHaveLength(1);
    expect(amounts.filter((amount) => amount > 0)).toHaveLength(1);
  });

  it("drops a discount that its phases do not name, and keeps one that they name by its id", async () => {
    const coupon = await stripe.coupons.create({ percent_off: 50, duration: "forever" });
    for (const keeps of [true, false]) {
      const { subscription } = await subscribe(world, plans.pro, coupon.id);
      const { id, phases } = await stripe.subscriptionSchedules.create({
        from_subscription: subscription.id,
      });
      const [current] = phases;
      const [discount] = subscription.discounts.map(idOf);
      expect(current?.discounts).toEqual([{ coupon: null, discount, promotion_code: null }]);
      const named = keeps ? { discounts: [{ discount: discount ?? "" }] } : {};
      await stripe.subscriptionSchedules.update(id, {
        phases: [
          {
            ...named,
            items: [{ price: plans.pro.id, quantity: 1 }],
            start_date: current?.start_date,
            end_date: current?.end_date,
          },
          { ...named, items: [{ price: plans.basic.id, quantity: 1 }] },
        ],
      });
      const after = await stripe.subscriptions.retrieve(subscription.id);
      expect(after.discounts).toEqual(keeps ? [discount] : []);
      world.sandbox.control.advance({ months: 1, hours: 2 });
      const [renewal] = await invoicesOf(stripe, subscription);
      expect(renewal?.total).toBe(keeps ? 500 : 1000);
    }
  });

  it("follows a change made on the subscription itself, and keeps what comes later", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    const schedule = await downgrade(subscription, plans.basic.id);
    world.sandbox.control.advance({ days: 5 });
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: itemOf(subscription).id, quantity: 2 }],
      proration_behavior: "none",
    });
    const after = await stripe.subscriptionSchedules.retrieve(schedule.id);
    expect(after.phases.map((phase) => phase.items[0]?.quantity)).toEqual([1, 2, 1]);
    expect(after.current_phase?.start_date).toBe(after.phases[1]?.start_date);
    world.sandbox.control.advance({ months: 1 });
    const renewed = await stripe.subscriptions.retrieve(subscription.id);
    expect(itemOf(renewed)).toMatchObject({ quantity: 1, price: { id: plans.basic.id } });
  });
});
