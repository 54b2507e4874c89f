// The billing portal of the Stripe stand-in offers exactly what its configuration says.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, invoicesOf, itemOf, subscribe, usePlans, useWorld } from "./support.ts";

const world = useWorld();
const { stripe } = world;
const plans = usePlans(world);

type Features = Stripe.BillingPortal.ConfigurationCreateParams.Features;

async function open(
  customer: string,
  features?: Features,
): Promise<{
  page: string;
  press(name: string, form: { [name: string]: string }): Promise<number>;
}> {
  const configuration =
    features === undefined
      ? undefined
      : (await stripe.billingPortal.configurations.create({ features })).id;
  const session = await stripe.billingPortal.sessions.create({
    customer,
    ...(configuration === undefined ? {} : { configuration }),
  });
  return {
    page: await (await fetch(session.url)).text(),
    press: async (name, form) =>
      (
        await fetch(`${session.url}/${name}`, {
          method: "POST",
          body: new URLSearchParams(form),
          redirect: "manual",
        })
      ).status,
  };
}

function switching(
  proration: "always_invoice" | "create_prorations" | "none",
  more: Partial<Features["subscription_update"]> = {},
): Features {
  return {
    subscription_update: {
      enabled: true,
      default_allowed_updates: ["price", "quantity"],
      proration_behavior: proration,
      products: [
        { product: idOf(plans.basic.product), prices: [plans.basic.id] },
        { product: idOf(plans.pro.product), prices: [plans.pro.id] },
      ],
      ...more,
    },
  };
}

describe("portal configurations", () => {
  it("are created, read, changed, listed, and announced", async () => {
    await world.sandbox.control.idle();
    world.receiver.clear();
    const made = await stripe.billingPortal.configurations.create({
      features: {
        invoice_history: { enabled: true },
        subscription_cancel: { enabled: true, mode: "at_period_end" },
      },
      metadata: { app: "skywork" },
      name: "ours",
    });
    expect(made).toMatchObject({
      object: "billing_portal.configuration",
      active: true,
      is_default: false,
      features: {
        subscription_update: { enabled: false },
        payment_method_update: { enabled: false },
      },
    });
    const changed = await stripe.billingPortal.configurations.update(made.id, {
      active: false,
      features: { payment_method_update: { enabled: true } },
    });
    expect(changed.features).toMatchObject({
      payment_method_update: { enabled: true },
      subscription_cancel: { enabled: true },
    });
    expect(await stripe.billingPortal.configurations.retrieve(made.id)).toEqual(changed);
    const defaults = await stripe.billingPortal.configurations.list({ is_default: true });
    expect(defaults.data).toHaveLength(1);
    expect(
      (await stripe.billingPortal.configurations.list({ active: false })).data.map((it) => it.id),
    ).toContain(made.id);
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toEqual([
      "billing_portal.configuration.created",
      "billing_portal.configuration.updated",
    ]);
    const { customer } = await subscribe(world, plans.basic);
    await expect(
      stripe.billingPortal.sessions.create({ customer, configuration: made.id }),
    ).rejects.toMatchObject({ statusCode: 400, param: "configuration" });
    await expect(
      stripe.billingPortal.sessions.create({ customer, configuration: "bpc_none" }),
    ).rejects.toMatchObject({ code: "resource_missing", param: "configuration" });
  });

  it("must be named while the default settings were never saved", async () => {
    const { customer } = await subscribe(world, plans.basic);
    world.sandbox.control.savePortalSettings(false);
    const refused = stripe.billingPortal.sessions.create({ customer });
    await expect(refused).rejects.toMatchObject({ statusCode: 400, code: undefined });
    await expect(refused).rejects.toThrow(
      "No configuration provided and your test mode default configuration has not been created.",
    );
    await open(customer, { invoice_history: { enabled: true } });
    world.sandbox.control.savePortalSettings(true);
    await stripe.billingPortal.sessions.create({ customer });
  });
});

describe("the portal's page", () => {
  it("offers and does nothing that its configuration does not name", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    const { page, press } = await open(customer, { invoice_history: { enabled: true } });
    for (const word of ["Switch plan", "Quantity", "Cancel", "Payment method"])
      expect(page).not.toContain(word);
    const id = subscription.id;
    expect(await press("switch", { subscription: id, price: plans.basic.id })).toBe(403);
    expect(await press("quantity", { subscription: id, quantity: "5" })).toBe(403);
    expect(await press("cancel", { subscription: id })).toBe(403);
    expect(await press("card", { card: "failing" })).toBe(403);
    const after = await stripe.subscriptions.retrieve(id);
    expect(after.cancel_at).toBeNull();
    expect(itemOf(after)).toMatchObject({ quantity: 1, price: { id: plans.pro.id } });
  });

  it("by default switches up and down at once, and the difference stays as balance", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    const { press } = await open(customer);
    const id = subscription.id;
    expect(await press("switch", { subscription: id, price: plans.pro.id })).toBe(303);
    expect(await press("switch", { subscription: id, price: plans.basic.id })).toBe(303);
    expect(((await stripe.customers.retrieve(customer)) as Stripe.Customer).balance).toBe(-2000);
    const invoices = await invoicesOf(stripe, subscription);
    expect(invoices.map((it) => it.total)).toEqual([-2000, 2000, 1000]);
  });

  it("lets prorations wait for the renewal with create_prorations", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    const { press } = await open(customer, switching("create_prorations"));
    expect(await press("quantity", { subscription: subscription.id, quantity: "3" })).toBe(303);
    expect(await invoicesOf(stripe, subscription)).toHaveLength(1);
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [renewal] = await invoicesOf(stripe, subscription);
    expect(renewal?.lines.data.map((line) => line.amount)).toEqual([-1000, 3000, 3000]);
  });

  it("changes without any money with none", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    const { press } = await open(customer, switching("none"));
    expect(await press("switch", { subscription: subscription.id, price: plans.pro.id })).toBe(303);
    world.sandbox.control.advance({ months: 1, hours: 2 });
    expect((await invoicesOf(stripe, subscription)).map((it) => it.total)).toEqual([3000, 1000]);
  });

  it("puts a downgrade off to the period's end when its configuration says so", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    const { press } = await open(
      customer,
      switching("always_invoice", {
        schedule_at_period_end: { conditions: [{ type: "decreasing_item_amount" }] },
      }),
    );
    expect(await press("switch", { subscription: subscription.id, price: plans.basic.id })).toBe(
      303,
    );
    const waiting = await stripe.subscriptions.retrieve(subscription.id);
    expect(itemOf(waiting).price.id).toBe(plans.pro.id);
    expect(waiting.schedule).not.toBeNull();
    world.sandbox.control.advance({ months: 1, hours: 2 });
    expect(itemOf(await stripe.subscriptions.retrieve(subscription.id)).price.id).toBe(
      plans.basic.id,
    );
  });

  it("cancels at once, giving the unused time back, when its configuration says so", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    const { press } = await open(customer, {
      subscription_cancel: {
        enabled: true,
        mode: "immediately",
        proration_behavior: "always_invoice",
      },
    });
    expect(await press("cancel", { subscription: subscription.id })).toBe(303);
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("canceled");
    expect(((await stripe.customers.retrieve(customer)) as Stripe.Customer).balance).toBe(-3000);
  });
});
