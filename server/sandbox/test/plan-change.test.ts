// Plan changes on the Stripe stand-in have the same cost and timing as at Stripe.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, invoicesOf, itemOf, subscribe, usePlans, useWorld } from "./support.ts";

// A clock that stands still, because times are compared to the second.
const openedAt = Date.now();
const world = useWorld({ clock: () => new Date(openedAt) });
const { stripe } = world;
const plans = usePlans(world);

describe("a change of plan", () => {
  it("costs exactly what the preview said, at once", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    world.sandbox.control.advance({ days: 14 });
    const prorationDate = Math.floor(world.sandbox.control.now().getTime() / 1000);
    const items = [{ id: itemOf(subscription).id, price: plans.pro.id }];
    const preview = await stripe.invoices.createPreview({
      subscription: subscription.id,
      subscription_details: {
        items,
        proration_behavior: "always_invoice",
        proration_date: prorationDate,
      },
    });
    const { current_period_start: start, current_period_end: end } = itemOf(subscription);
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
    expect(itemOf(changed).price.id).toBe(plans.pro.id);
    expect(itemOf(changed).id).toBe(itemOf(subscription).id);
    expect(changed.latest_invoice).toMatchObject({
      status: "paid",
      billing_reason: "subscription_update",
      amount_paid: preview.amount_due,
    });
    expect(itemOf(changed).current_period_end).toBe(end);
  });

  it("waits as a pending update while the money is missing, and is applied when it comes", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    world.sandbox.control.setCard(customer, "failing");
    const items = [{ id: itemOf(subscription).id, price: plans.pro.id }];
    const waiting = await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
      expand: ["latest_invoice"],
    });
    expect(itemOf(waiting).price.id).toBe(plans.basic.id);
    expect(waiting.status).toBe("active");
    expect(waiting.pending_update?.subscription_items?.[0]?.price.id).toBe(plans.pro.id);
    expect(waiting.latest_invoice).toMatchObject({ status: "open" });
    world.sandbox.control.setCard(customer, "ok");
    await stripe.invoices.pay((waiting.latest_invoice as Stripe.Invoice).id ?? "");
    const applied = await stripe.subscriptions.retrieve(subscription.id);
    expect(itemOf(applied).price.id).toBe(plans.pro.id);
    expect(applied.pending_update).toBeNull();
  });

  it("is dropped with its invoice when the money never comes", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    world.sandbox.control.setCard(customer, "failing");
    const waiting = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: itemOf(subscription).id, price: plans.pro.id }],
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
    });
    world.sandbox.control.advance({ hours: 24 });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(after.pending_update).toBeNull();
    expect(itemOf(after).price.id).toBe(plans.basic.id);
    expect((await stripe.invoices.retrieve(idOf(waiting.latest_invoice))).status).toBe("void");
  });

  it("changes nothing with error_if_incomplete and a failing card", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    world.sandbox.control.setCard(customer, "failing");
    const items = [{ id: itemOf(subscription).id, price: plans.pro.id }];
    await expect(
      stripe.subscriptions.update(subscription.id, {
        items,
        proration_behavior: "always_invoice",
        payment_behavior: "error_if_incomplete",
      }),
    ).rejects.toMatchObject({ type: "StripeCardError", statusCode: 402 });
    expect(itemOf(await stripe.subscriptions.retrieve(subscription.id)).price.id).toBe(
      plans.basic.id,
    );
    expect(await invoicesOf(stripe, subscription)).toHaveLength(1);
  });

  it("to a yearly price starts a new cycle now, crediting what is unused", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    world.sandbox.control.advance({ days: 10 });
    const now = Math.floor(world.sandbox.control.now().getTime() / 1000);
    const changed = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: itemOf(subscription).id, price: plans.proYearly.id }],
      proration_behavior: "always_invoice",
      expand: ["latest_invoice"],
    });
    expect(changed.billing_cycle_anchor).toBe(now);
    expect(itemOf(changed).current_period_start).toBe(now);
    const invoice = changed.latest_invoice as Stripe.Invoice;
    expect(
      invoice.lines.data.map((line) => line.parent?.subscription_item_details?.proration),
    ).toEqual([true, false]);
    expect(invoice.lines.data[0]?.amount).toBeLessThan(0);
    expect(invoice.lines.data[1]?.amount).toBe(30_000);
  });

  it("to a cheaper price with prorations lowers the next invoice, and a surplus stays as credit", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    world.sandbox.control.advance({ days: 1 });
    const items = [{ id: itemOf(subscription).id, price: plans.basic.id }];
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
      items: [{ id: itemOf(subscription).id, price: plans.pro.id }],
      proration_behavior: "none",
    });
    expect(none.latest_invoice).toBe(credit.id);
    await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "create_prorations",
    });
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [renewal] = await invoicesOf(stripe, subscription);
    expect(renewal?.lines.data).toHaveLength(3);
  });

  it("refuses to delete an item that is not named", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    const both = await stripe.subscriptions.update(subscription.id, {
      items: [{ price: plans.pro.id }],
    });
    expect(both.items.data).toHaveLength(2);
    await expect(
      stripe.subscriptions.update(subscription.id, { items: [{ deleted: true }] }),
    ).rejects.toMatchObject({ statusCode: 400, param: "items[0][id]" });
    const { items } = await stripe.subscriptions.retrieve(subscription.id);
    expect(items.data).toHaveLength(2);
  });

  it.each(["cancel_at", "cancel_at_period_end"] as const)(
    "has no renewal in its preview when %s ends it before, only what waits",
    async (how) => {
      const { subscription } = await subscribe(world, plans.basic);
      const { id: item, current_period_end: end } = itemOf(subscription);
      await stripe.subscriptions.update(
        subscription.id,
        how === "cancel_at" ? { cancel_at: end - 86_400 } : { cancel_at_period_end: true },
      );
      const preview = { subscription: subscription.id };
      await expect(stripe.invoices.createPreview(preview)).rejects.toMatchObject({
        statusCode: 404,
        code: "invoice_upcoming_none",
      });
      const change = { items: [{ id: item, price: plans.pro.id }] };
      const { lines } = await stripe.invoices.createPreview({
        ...preview,
        subscription_details: change,
      });
      expect(lines.data.map(({ parent }) => parent?.subscription_item_details?.proration)).toEqual([
        true,
        true,
      ]);
      await stripe.subscriptions.update(subscription.id, change);
      expect((await stripe.invoices.createPreview(preview)).lines.data).toHaveLength(2);
    },
  );

  it("takes the wall time of an app that cannot see the moved clock as the same moment", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    world.sandbox.control.advance({ months: 1, days: 10 });
    const items = [{ id: itemOf(subscription).id, price: plans.pro.id }];
    const details = { items, proration_behavior: "always_invoice" } as const;
    const preview = (date: number): Promise<Stripe.Invoice> =>
      stripe.invoices.createPreview({
        subscription: subscription.id,
        subscription_details: { ...details, proration_date: date },
      });
    const wall = await preview(Math.floor(Date.now() / 1000));
    const billing = await preview(Math.floor(world.sandbox.control.now().getTime() / 1000));
    expect(wall.amount_due).toBeGreaterThan(0);
    expect(Math.abs(wall.amount_due - billing.amount_due)).toBeLessThanOrEqual(1);
  });
});
