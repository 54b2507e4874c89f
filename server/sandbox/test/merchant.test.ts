// A test can do on the Stripe stand-in what a merchant does behind an app's back, and is refused what Stripe refuses.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, invoicesOf, itemOf, sdkFor, subscribe, usePlans, useWorld } from "./support.ts";

const world = useWorld();
const { stripe } = world;
const plans = usePlans(world);

async function command(name: string, input: unknown): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${world.sandbox.url}/_sandbox/merchant/${name}`, {
    method: "POST",
    body: JSON.stringify(input),
    headers: { "content-type": "application/json" },
  });
  return { status: answer.status, body: await answer.json() };
}

describe("the merchant", () => {
  it("moves a subscription to a price without metadata, to any quantity, with an add-on first", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    const addOn = await stripe.prices.create({
      currency: "usd",
      unit_amount: 200,
      recurring: { interval: "month" },
      product_data: { name: "Add-on" },
    });
    await command("move-subscription", {
      subscription: subscription.id,
      price: plans.pro.id,
      quantity: 3,
      proration: "always_invoice",
    });
    const [change] = await invoicesOf(stripe, subscription);
    expect(change?.lines.data.map((line) => line.amount)).toEqual([-1000, 9000]);
    await command("move-subscription", {
      subscription: subscription.id,
      proration: "none",
      add: { price: addOn.id, first: true },
    });
    const after = await stripe.subscriptions.retrieve(subscription.id);
    expect(after.items.data.map((item) => item.price.id)).toEqual([addOn.id, plans.pro.id]);
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [renewal] = await invoicesOf(stripe, subscription);
    expect(renewal?.lines.data.map((line) => line.amount)).toEqual([200, 9000]);
  });

  it("ends a subscription at any date, and takes that back", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    const at = new Date((itemOf(subscription).current_period_end + 60 * 86_400) * 1000);
    expect((await command("cancel-at", { subscription: subscription.id, at })).body).toMatchObject({
      cancel_at: Math.floor(at.getTime() / 1000),
      cancel_at_period_end: false,
    });
    world.sandbox.control.advance({ months: 2, hours: 2 });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("active");
    world.sandbox.control.setCancelAt(subscription.id, null);
    expect((await stripe.subscriptions.retrieve(subscription.id)).cancel_at).toBeNull();
    world.sandbox.control.setCancelAt(subscription.id, at);
    world.sandbox.control.advance({ months: 2 });
    const ended = await stripe.subscriptions.retrieve(subscription.id);
    expect(ended).toMatchObject({ status: "canceled", ended_at: ended.cancel_at });
  });

  it("credits, adjusts, cancels with proration, archives, and deletes a customer", async () => {
    const { subscription, customer, session } = await subscribe(world, plans.pro);
    await command("adjust-balance", { customer, amount: -700 });
    await command("credit-note", {
      invoice: idOf(session.invoice),
      amount: 300,
      creditAmount: 300,
    });
    expect(((await stripe.customers.retrieve(customer)) as Stripe.Customer).balance).toBe(-1000);
    await command("cancel-subscription", {
      subscription: subscription.id,
      prorate: true,
      invoiceNow: true,
    });
    expect(((await stripe.customers.retrieve(customer)) as Stripe.Customer).balance).toBe(-4000);
    expect((await command("delete-customer", { customer })).status).toBe(200);
    expect(await stripe.customers.retrieve(customer)).toEqual({
      id: customer,
      object: "customer",
      deleted: true,
    });
    await expect(stripe.customers.update(customer, { name: "x" })).rejects.toMatchObject({
      statusCode: 404,
      code: "resource_missing",
      param: "id",
    });
    await expect(stripe.billingPortal.sessions.create({ customer })).rejects.toMatchObject({
      statusCode: 400,
      code: "resource_missing",
      param: "customer",
      message: `No such customer: '${customer}'`,
    });
  });
});

describe("what Stripe refuses", () => {
  it("an archived price is refused with words only, wherever it is chosen anew", async () => {
    const price = await stripe.prices.create({
      currency: "usd",
      unit_amount: 700,
      recurring: { interval: "month" },
      product_data: { name: "Old" },
    });
    const { subscription, customer } = await subscribe(world, plans.basic);
    world.sandbox.control.archivePrice(price.id);
    const refused = {
      statusCode: 400,
      code: undefined,
      message: "The price specified is inactive. This field only accepts active prices.",
    };
    await expect(
      stripe.checkout.sessions.create({
        mode: "subscription",
        customer,
        line_items: [{ price: price.id, quantity: 1 }],
        success_url: "http://localhost:3000/",
      }),
    ).rejects.toMatchObject({ ...refused, param: "line_items[0][price]" });
    const items = [{ id: itemOf(subscription).id, price: price.id }];
    await expect(stripe.subscriptions.update(subscription.id, { items })).rejects.toMatchObject({
      ...refused,
      param: "items[0][price]",
    });
    await expect(
      stripe.invoices.createPreview({
        subscription: subscription.id,
        subscription_details: { items },
      }),
    ).rejects.toMatchObject(refused);
  });

  it("a second currency is refused for a customer that is billed by the period", async () => {
    const euro = await stripe.prices.create({
      currency: "eur",
      unit_amount: 1000,
      recurring: { interval: "month" },
      product_data: { name: "Euro" },
    });
    const { subscription, customer } = await subscribe(world, plans.basic);
    await expect(
      stripe.checkout.sessions.create({
        mode: "subscription",
        customer,
        line_items: [{ price: euro.id, quantity: 1 }],
        success_url: "http://localhost:3000/",
      }),
    ).rejects.toThrow("You cannot combine currencies on a single customer.");
    await expect(
      stripe.subscriptions.update(subscription.id, {
        items: [{ id: itemOf(subscription).id, price: euro.id }],
      }),
    ).rejects.toThrow("doesn't match the expected currency: `usd`");
  });

  it("a key is refused as wrong (401) or restricted (403) on the next call of the named path", async () => {
    world.sandbox.control.misbehave({ fault: "401", path: "/v1/subscriptions" });
    await expect(stripe.subscriptions.list()).rejects.toMatchObject({
      type: "StripeAuthenticationError",
      statusCode: 401,
    });
    world.sandbox.control.misbehave({ fault: "403", path: "/v1/subscriptions" });
    await expect(stripe.subscriptions.list()).rejects.toMatchObject({
      type: "StripePermissionError",
      statusCode: 403,
    });
    expect((await stripe.subscriptions.list()).object).toBe("list");
  });
});

describe("a saved failure", () => {
  it.each([
    { fault: "500" as const, made: 0 },
    { fault: "500-after" as const, made: 1 },
  ])("of $fault is answered again for a day under its key", async ({ fault, made }) => {
    const email = `saved-${fault}@example.com`;
    const key = `saved-${fault}`;
    world.sandbox.control.misbehave({ fault, saved: true, method: "POST", path: "/v1/customers" });
    const once = sdkFor(world.sandbox);
    const create = () => once.customers.create({ email }, { idempotencyKey: key });
    await expect(create()).rejects.toMatchObject({ statusCode: 500, type: "StripeAPIError" });
    const replayed = await create().catch((error: unknown) => error as Stripe.errors.StripeError);
    expect(replayed).toMatchObject({
      statusCode: 500,
      headers: { "idempotent-replayed": "true" },
    });
    expect((await stripe.customers.list({ email })).data).toHaveLength(made);
    await expect(
      once.customers.create({ email: "other@example.com" }, { idempotencyKey: key }),
    ).rejects.toMatchObject({ statusCode: 400, type: "StripeIdempotencyError" });
    await once.customers.create({ email }, { idempotencyKey: `${key}-anew` });
    world.sandbox.control.setClockOffset(25 * 3600);
    await create();
    world.sandbox.control.setClockOffset(0);
  });
});
