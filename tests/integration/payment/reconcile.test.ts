// What webhooks missed is found, finding it twice changes nothing, and the catalog is synchronised.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useShop } from "../../support/use-app.ts";

describe("reconcile", () => {
  const held = createHeldCalls();
  const world = useShop({ available, webhooks: false, logLevel: "info", wrapStripe: held.wrap });
  const merchant = merchantOf(world);

  const nothing = {
    eventsRecovered: 0,
    paymentsRepaired: 0,
    invoicesRepaired: 0,
    subscriptionsRepaired: 0,
    checkoutsClosed: 0,
    problems: [],
  };

  /** As if every event so far had been handled without effect, so that only rows and lists can be used. */
  const forgetEvents = async () => {
    for (const { id, type, created } of world.sandbox.stripe.control.events()) {
      const event = {
        type,
        status: "IGNORED",
        payload: "{}",
        createdAt: new Date(created * 1000),
        receivedAt: new Date(world.clock.now()),
      };
      await world.models.stripeEvent.upsert({
        where: { id },
        update: {},
        create: { id, ...event },
      });
    }
  };

  it("finds purchases, renewals and refunds nobody told of, once", async () => {
    const { packages } = await world.payment.packages();
    const { plans } = await world.payment.plans();
    const buyer = await world.createUser();
    await world.buy(buyer, packages[0]?.id ?? "");
    const refunded = await world.createUser();
    const sessionId = await world.buy(refunded, packages[0]?.id ?? "");
    const subscriber = await world.createUser();
    await world.subscribe(subscriber, plans.find(({ tier }) => tier === "BASIC")?.id ?? "");
    const session = world.sandbox.stripe.control.completeCheckout(sessionId);
    world.sandbox.stripe.control.refund(session.payment_intent ?? "");
    const report = await world.payment.reconcile();
    expect(report.eventsRecovered).toBeGreaterThan(3);
    expect(report.problems).toEqual([]);
    expect(await world.credits(buyer)).toBe(100);
    expect(await world.credits(refunded)).toBe(0);
    expect(await world.credits(subscriber)).toBe(500);
    world.travel({ months: 1, minutes: 90 });
    await world.payment.reconcile();
    expect(await world.credits(subscriber)).toBe(1000);
    expect(await world.payment.reconcile()).toMatchObject(nothing);
    for (const userId of [buyer, refunded, subscriber])
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("enters paid checkouts again that a restored database does not know, for their own customer alone", async () => {
    const { packages } = await world.payment.packages();
    const [kept, other] = [await world.createUser(), await world.createUser()];
    for (const userId of [kept, other]) {
      await world.buy(userId, packages[0]?.id ?? "");
      await world.models.checkout.deleteMany({ where: { userId } });
      await world.models.payment.deleteMany({ where: { userId } });
    }
    await world.models.user.update({
      where: { id: other },
      data: { stripeCustomerId: "cus_of_somebody" },
    });
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await world.credits(kept)).toBe(100);
    expect(await world.credits(other)).toBe(0);
    expect(await world.models.payment.findMany({ where: { userId: kept } })).toMatchObject([
      { status: "SUCCESS", amount: 500, creditsPurchased: 100 },
    ]);
    expect(await world.payment.reconcile()).toMatchObject(nothing);
    expect(await brokenInvariants(world.models, kept)).toEqual([]);
  });

  it("finds them without any event too: by the checkout, the invoice and the subscription", async () => {
    const { packages } = await world.payment.packages();
    const { plans } = await world.payment.plans();
    const buyer = await world.createUser();
    await world.buy(buyer, packages[1]?.id ?? "");
    const subscriber = await world.createUser();
    await world.subscribe(subscriber, plans.find(({ tier }) => tier === "PRO")?.id ?? "");
    const abandoned = await world.createUser();
    const open = await world.payment.checkout(abandoned, { packageId: packages[0]?.id ?? "" });
    world.sandbox.stripe.control.expireCheckout(open.sessionId);
    world.travel({ minutes: 5 });
    await forgetEvents();
    const report = await world.payment.reconcile();
    expect(report).toMatchObject({ eventsRecovered: 0, checkoutsClosed: 1, problems: [] });
    expect(report.paymentsRepaired).toBe(2);
    expect(await world.credits(buyer)).toBe(500);
    expect(await world.credits(subscriber)).toBe(1500);
    expect((await world.payment.history(abandoned, { limit: 5 })).payments[0]?.status).toBe(
      "FAILED",
    );
    // A renewal known only by its invoice.
    world.travel({ months: 1, minutes: 90 });
    await forgetEvents();
    const renewed = await world.payment.reconcile();
    expect(renewed.invoicesRepaired).toBeGreaterThanOrEqual(1);
    expect(await world.credits(subscriber)).toBe(3000);
    expect(await world.payment.reconcile()).toMatchObject(nothing);
  });

  it("stops when told to, and looks at the subscriptions some at a time, each hour from elsewhere", async () => {
    for (let made = 0; made < 3; made += 1)
      await world.subscribe(await world.createUser(), "plan_basic_month");
    await world.payment.reconcile();
    const live = await world.models.subscription.findMany({
      where: { liveKey: { not: null } },
      orderBy: { id: "asc" },
    });
    const ids = new Set<unknown>(live.map(({ stripeSubscriptionId: id }) => id));
    const lookAt = async (maxSubscriptions: number, signal?: AbortSignal) => {
      const before = held.seen.length;
      await world.payment.reconcile({ maxSubscriptions, signal });
      return held.seen
        .slice(before)
        .flatMap(({ call, about }) => (call === "getSubscription" ? [about] : []));
    };
    const stop = new AbortController();
    const gate = held.holdNext("getSubscription");
    const stopped = lookAt(100, stop.signal);
    await gate.reached;
    stop.abort();
    gate.open();
    expect(await stopped).toHaveLength(1);
    expect(await lookAt(100, stop.signal)).toEqual([]);
    expect(new Set(await lookAt(100))).toEqual(ids);
    // However few each hour handles, all get their turn.
    const seen = new Set<unknown>();
    for (let hour = 0; hour < 3 * ids.size; hour += 1) {
      for (const id of await lookAt(1)) seen.add(id);
      world.travel({ minutes: 60 });
    }
    expect(seen).toEqual(ids);
  });

  it.each(["listEvents", "listInvoices"] as const)("stops at once amid %s", async (call) => {
    await world.buy(await world.createUser(), "pkg_small");
    await world.subscribe(await world.createUser(), "plan_basic_month");
    const stop = new AbortController();
    const gate = held.holdNext(call);
    const running = world.payment.reconcile({ signal: stop.signal });
    await gate.reached;
    stop.abort();
    const before = held.seen.length;
    gate.open();
    // If no run ever completes, the job's outcome must show it.
    expect((await running).problems).toEqual([expect.stringContaining("stopped early")]);
    expect(held.seen.slice(before)).toEqual([]);
    expect((await world.payment.reconcile()).problems).toEqual([]);
  });

  it("asks once, and not in every run, about what else the account sells", async () => {
    const { id: customer } = await merchant.post("customers", { email: "foreign@example.com" });
    const { id } = await merchant.post("checkout/sessions", {
      mode: "subscription",
      customer,
      success_url: "http://localhost/s",
      "line_items[0][price]": await merchant.foreignPrice(700),
      "line_items[0][quantity]": "1",
    });
    world.sandbox.stripe.control.completeCheckout(id);
    await world.payment.reconcile();
    const before = held.seen.length;
    expect(await world.payment.reconcile()).toMatchObject(nothing);
    const asked = held.seen.slice(before).filter(({ call }) => call === "getInvoice");
    expect(asked).toEqual([]);
  });

  it("syncs the catalog, again, and after a price change", async () => {
    const first = await world.payment.syncCatalog();
    // Nine offers, and the settings of the billing portal.
    const isPortal = (line: string) => line.startsWith("portal configuration");
    expect(first.filter((line) => !isPortal(line))).toHaveLength(9);
    expect(first.filter(isPortal)).toHaveLength(1);
    const again = await world.payment.syncCatalog();
    expect(again.filter((line) => !isPortal(line) && !line.includes("up to date"))).toEqual([]);
    const plan = await world.models.plan.findFirstOrThrow({ where: { tier: "BASIC" } });
    const subscriber = await world.createUser();
    await world.subscribe(subscriber, plan.id);
    await world.payment.reconcile();
    await world.models.plan.update({
      where: { id: plan.id },
      data: { price: plan.price + 100, credits: 2 * plan.credits },
    });
    const changed = await world.payment.syncCatalog();
    expect(changed.filter((line) => line.includes("price changed"))).toHaveLength(1);
    // The subscriber keeps the former price: it still counts as the plan, with the credits it was sold with.
    world.travel({ months: 1, minutes: 90 });
    await world.payment.reconcile();
    expect(await world.credits(subscriber)).toBe(1000);
    const { price, credits } = plan;
    await world.models.plan.update({ where: { id: plan.id }, data: { price, credits } });
    expect((await world.payment.syncCatalog()).join()).toContain("price changed");
  });

  describe("a plan's price that a merchant has made", () => {
    const planId = "plan_team_month";
    const update = (data: { price?: number; credits?: number; stripePriceId?: string | null }) =>
      world.models.plan.update({ where: { id: planId }, data });
    const makePrice = async (fields: Record<string, string>) => {
      const product = await merchant.post("products", { name: "A merchant's team" });
      const price = await merchant.post("prices", {
        product: product.id,
        unit_amount: "4999",
        currency: "usd",
        "recurring[interval]": "month",
        ...fields,
      });
      return price.id;
    };
    const withKey = { lookup_key: `skywork_${planId}`, transfer_lookup_key: "true" };
    /** Subscribes in the dashboard, so that nothing is sold here at this price before it is dropped. */
    const subscribe = async (userId: string, priceId: string) => {
      await world.payment.portal(userId);
      const { id } = await merchant.post("checkout/sessions", {
        mode: "subscription",
        customer: await world.customerOf(userId),
        success_url: "http://localhost/s",
        "line_items[0][price]": priceId,
        "line_items[0][quantity]": "1",
      });
      world.sandbox.stripe.control.completeCheckout(id);
      await world.payment.reconcile();
    };
    const archive = (priceId: string) => merchant.post(`prices/${priceId}`, { active: "false" });
    const sync = () => world.payment.syncCatalog();
    const raise = { price: 9999 };

    it.each([
      { how: "dearer after a sync", fields: withKey, leave: () => update(raise).then(sync) },
      { how: "dearer, set by hand", fields: {}, leave: () => update(raise).then(sync) },
      { how: "archived before a sync", fields: {}, leave: (id: string) => archive(id).then(sync) },
      {
        how: "archived before a sale",
        fields: withKey,
        leave: async (id: string) => {
          await archive(id);
          await world.subscribe(await world.createUser(), planId);
        },
      },
    ])("is the plan's to those who pay it: $how", async ({ fields, leave }) => {
      const priceId = await makePrice(fields);
      await update({ price: 4999, credits: 5000, stripePriceId: priceId });
      const subscriber = await world.createUser();
      await subscribe(subscriber, priceId);
      expect(await world.credits(subscriber)).toBe(5000);
      await leave(priceId);
      const { stripePriceId } = await world.models.plan.findUniqueOrThrow({
        where: { id: planId },
      });
      expect(stripePriceId).not.toBe(priceId);
      world.travel({ months: 1, minutes: 90 });
      await world.payment.reconcile();
      expect(await world.credits(subscriber)).toBe(10_000);
      expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
    });

    it("is named in the log when it is paid for and is no plan's", async () => {
      const subscriber = await world.createUser();
      await world.subscribe(subscriber, "plan_basic_month");
      await world.payment.reconcile();
      const { stripeSubscriptionId } = await world.models.subscription.findFirstOrThrow({
        where: { userId: subscriber },
      });
      const priceId = await makePrice({});
      await merchant.change(stripeSubscriptionId, { price: priceId }, "none");
      world.travel({ months: 1, minutes: 90 });
      await world.payment.reconcile();
      await world.payment.reconcile();
      expect(await world.credits(subscriber)).toBe(500);
      const lines = world.logged().filter(({ priceIds }) => String(priceIds) === priceId);
      expect(lines).toMatchObject([{ subscriptionId: stripeSubscriptionId }]);
    });

    it("gives nothing of what was given back before it was adopted", async () => {
      await update({ price: 4999, credits: 5000, stripePriceId: null });
      const priceId = await makePrice(withKey);
      const subscriber = await world.createUser();
      await subscribe(subscriber, priceId);
      const paid = world.sandbox.stripe.control.events("payment_intent.succeeded").at(-1);
      const { id = "" } = (paid?.data.object ?? {}) as { id?: string };
      world.sandbox.stripe.control.refund(id);
      await world.payment.reconcile();
      expect(await sync()).toContain(`plan ${planId}: adopted (${priceId})`);
      expect(await world.payment.reconcile()).toMatchObject({ invoicesRepaired: 1, problems: [] });
      expect(await world.credits(subscriber)).toBe(0);
      const { payments } = await world.payment.history(subscriber, { limit: 5 });
      expect(payments).toMatchObject([{ status: "REFUNDED", amount: 4999 }]);
      expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
    });

    it("is adopted by the first sync, with what the plan gives then", async () => {
      await update({ price: 4999, credits: 5000, stripePriceId: null });
      const priceId = await makePrice(withKey);
      const lines = async () => (await world.payment.syncCatalog()).join("\n");
      expect(await lines()).toContain(`plan ${planId}: adopted (${priceId})`);
      expect(await merchant.get(`prices/${priceId}`)).toMatchObject({
        metadata: { offerId: planId, credits: "5000" },
      });
      expect(await lines()).toContain(`plan ${planId}: up to date (${priceId})`);
      const subscriber = await world.createUser();
      await subscribe(subscriber, priceId);
      await update({ credits: 10_000 });
      expect(await lines()).toContain(`plan ${planId}: price changed`);
      world.travel({ months: 1, minutes: 90 });
      await world.payment.reconcile();
      expect(await world.credits(subscriber)).toBe(10_000);
    });
  });
});
