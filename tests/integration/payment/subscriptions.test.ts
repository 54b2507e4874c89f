// Owns the proof of a subscriber's whole life: subscribe, renew, fail, recover, upgrade, cancel, resume, lapse.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addMonths } from "../../../server/payment/months.ts";
import { availableBackends } from "../../support/databases.ts";
import {
  brokenInvariants,
  openPaymentWorld,
  type PaymentWorld,
} from "../../support/payment-world.ts";

const backends = await availableBackends();

describe.each(backends)("subscriptions on $name", (available) => {
  let world: PaymentWorld;
  let plans: Awaited<ReturnType<PaymentWorld["payment"]["plans"]>>["plans"];
  const plan = (tier: string, interval: "month" | "year") => {
    const found = plans.find((one) => one.tier === tier && one.interval === interval);
    if (found === undefined) throw new Error(`no ${tier} by the ${interval}`);
    return found;
  };
  const state = async (userId: string) => (await world.payment.subscription(userId)).subscription;

  beforeAll(async () => {
    world = await openPaymentWorld(available);
    ({ plans } = await world.payment.plans());
  });
  afterAll(() => world.close());

  async function subscriber(tier: string, interval: "month" | "year"): Promise<string> {
    const userId = await world.createUser();
    await world.subscribe(userId, plan(tier, interval).id);
    await world.settled();
    return userId;
  }

  async function upgrade(userId: string, planId: string) {
    const preview = await world.payment.previewPlanChange(userId, { planId });
    const { subscription } = await world.payment.changePlan(userId, {
      planId,
      previewToken: preview.previewToken,
    });
    await world.settled();
    return { preview, subscription };
  }

  /** Credits ever granted by plans; those of past months expire meanwhile. */
  const granted = async (userId: string) =>
    (
      await world.models.creditGrant.aggregate({
        where: { userId, source: "SUBSCRIPTION" },
        _sum: { amount: true },
      })
    )._sum.amount ?? 0;

  const stripeIdOf = async (userId: string) =>
    (await world.models.subscription.findFirstOrThrow({ where: { userId } })).stripeSubscriptionId;

  it("sells the seeded plans, the year at ten months' price", () => {
    expect(
      plans
        .filter(({ interval }) => interval === "month")
        .map(({ tier, credits, price }) => [tier, credits, price]),
    ).toEqual([
      ["BASIC", 500, 999],
      ["PRO", 1500, 1999],
      ["TEAM", 5000, 4999],
    ]);
    for (const yearly of plans.filter(({ interval }) => interval === "year"))
      expect(yearly.price).toBe(plan(yearly.tier, "month").price * 10);
  });

  it("grants each paid month once, expiring one month after it; bought credits stay", async () => {
    const userId = await world.createUser();
    const { packages } = await world.payment.packages();
    await world.buy(userId, packages[0]?.id ?? "");
    const sessionId = await world.subscribe(userId, plan("BASIC", "month").id);
    await world.settled();
    expect(await world.payment.confirm(userId, { sessionId })).toMatchObject({
      status: "SUCCESS",
      creditsAdded: 500,
      balance: 600,
    });
    const now = await state(userId);
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
    const basic = plan("BASIC", "month").id;
    const [one, two] = await Promise.all([
      world.payment.subscribe(userId, { planId: basic }),
      world.payment.subscribe(userId, { planId: basic }),
    ]);
    expect(one.sessionId).toBe(two.sessionId);
    const pro = await world.payment.subscribe(userId, { planId: plan("PRO", "month").id });
    expect(pro.sessionId).not.toBe(one.sessionId);
    expect(world.sandbox.control.completeCheckout(one.sessionId).status).toBe("expired");
    world.sandbox.control.completeCheckout(pro.sessionId);
    await world.settled();
    expect((await state(userId))?.tier).toBe("PRO");
    await expect(world.payment.subscribe(userId, { planId: basic })).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });

  it("ends and gives back a second subscription made past us", async () => {
    const userId = await subscriber("BASIC", "month");
    const first = await stripeIdOf(userId);
    // Somebody in the dashboard opens another subscription for the same customer.
    const customer = await world.customerOf(userId);
    await world.payment.syncCatalogue();
    const { stripePriceId: price } = await world.models.plan.findUniqueOrThrow({
      where: { id: plan("PRO", "month").id },
    });
    const form = new URLSearchParams({
      mode: "subscription",
      customer,
      success_url: "http://localhost/s",
      "line_items[0][price]": price ?? "",
      "line_items[0][quantity]": "1",
    });
    const made = (await (
      await fetch(`${world.sandbox.url}/v1/checkout/sessions`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${world.sandbox.secretKey}`,
          "Content-Type": "application/x-www-form-urlencoded",
        },
        body: form,
      })
    ).json()) as { id: string };
    world.sandbox.control.completeCheckout(made.id);
    await world.settled();
    await world.payment.reconcile();
    await world.settled();
    expect(await stripeIdOf(userId)).toBe(first);
    const rows = await world.models.subscription.findMany({ where: { userId } });
    expect(rows.filter(({ liveKey }) => liveKey !== null)).toHaveLength(1);
    expect(await world.credits(userId)).toBe(500);
    const { payments } = await world.payment.history(userId, { limit: 50 });
    expect(payments.map(({ status }) => status).sort()).toEqual(["REFUNDED", "SUCCESS"]);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("grants nothing while past due and once on recovery", async () => {
    const userId = await subscriber("BASIC", "month");
    world.sandbox.control.setCard(await world.customerOf(userId), "failing");
    world.travel({ months: 1, minutes: 90 });
    await world.settled();
    expect((await state(userId))?.status).toBe("past_due");
    expect(await world.credits(userId)).toBe(500);
    world.sandbox.control.setCard(await world.customerOf(userId), "ok");
    const open = (await world.payment.invoices(userId)).invoices.find(
      ({ status }) => status === "open",
    );
    expect(world.sandbox.control.payInvoice(open?.id ?? "")).toBe(true);
    await world.settled();
    expect((await state(userId))?.status).toBe("active");
    expect(await world.credits(userId)).toBe(1000);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("cancels at the end of the period, resumes, cancels again and lapses", async () => {
    const userId = await subscriber("BASIC", "month");
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
    expect(await state(userId)).toBeNull();
    expect(await world.credits(userId)).toBe(500);
    await expect(world.payment.resumeSubscription(userId)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await world.subscribe(userId, plan("PRO", "month").id);
    await world.settled();
    expect((await state(userId))?.tier).toBe("PRO");
    expect(await world.credits(userId)).toBe(2000);
  });

  it("follows the money on upgrades: at once, late, twice, and not on downgrades", async () => {
    const userId = await subscriber("BASIC", "month");
    const { preview } = await upgrade(userId, plan("PRO", "month").id);
    // At once: the whole difference is paid and granted.
    expect(preview.amountDue).toBeGreaterThan(990);
    expect(preview.creditsNow).toBeGreaterThan(990);
    expect(await world.credits(userId)).toBe(500 + preview.creditsNow);
    world.travel({ days: 15 });
    const before = await world.credits(userId);
    const second = await upgrade(userId, plan("TEAM", "month").id);
    const share = second.preview.amountDue / (4999 - 1999);
    expect(second.preview.creditsNow).toBeGreaterThan(3500 * (share - 0.01));
    expect(second.preview.creditsNow).toBeLessThan(3500 * (share + 0.01));
    expect(await world.credits(userId)).toBe(before + second.preview.creditsNow);
    expect((await state(userId))?.tier).toBe("TEAM");
    const down = await upgrade(userId, plan("BASIC", "month").id);
    expect(down.preview).toMatchObject({ amountDue: 0, creditsNow: 0 });
    expect(down.subscription.tier).toBe("BASIC");
    expect(await world.credits(userId)).toBe(before + second.preview.creditsNow);
    const beforeRenewal = await world.credits(userId);
    world.travel({ days: 17 });
    await world.settled();
    expect(await world.credits(userId)).toBe(beforeRenewal + 500);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("binds the change to what was shown", async () => {
    const userId = await subscriber("BASIC", "month");
    const other = await subscriber("BASIC", "month");
    const pro = plan("PRO", "month").id;
    const team = plan("TEAM", "month").id;
    const shown = await world.payment.previewPlanChange(userId, { planId: pro });
    const stale = { code: "PREVIEW_STALE" };
    const change = (user: string, planId: string, previewToken: string) =>
      world.payment.changePlan(user, { planId, previewToken });
    await expect(change(userId, team, shown.previewToken)).rejects.toMatchObject(stale);
    await expect(change(other, pro, shown.previewToken)).rejects.toMatchObject(stale);
    await expect(change(userId, pro, `${shown.previewToken}x`)).rejects.toMatchObject(stale);
    await expect(change(userId, pro, "forged.token")).rejects.toMatchObject(stale);
    const twice = await Promise.all([
      change(userId, pro, shown.previewToken),
      change(userId, pro, shown.previewToken),
    ]);
    expect(twice.map(({ subscription }) => subscription.tier)).toEqual(["PRO", "PRO"]);
    await world.settled();
    expect(await world.credits(userId)).toBe(500 + shown.creditsNow);
    const late = await world.payment.previewPlanChange(other, { planId: pro });
    world.travel({ minutes: 11 });
    await expect(change(other, pro, late.previewToken)).rejects.toMatchObject(stale);
    await expect(
      world.payment.previewPlanChange(other, { planId: plan("BASIC", "month").id }),
    ).rejects.toMatchObject({ code: "CONFLICT" });
    world.sandbox.control.setCard(await world.customerOf(other), "failing");
    const declined = await world.payment.previewPlanChange(other, { planId: pro });
    await expect(change(other, pro, declined.previewToken)).rejects.toMatchObject({
      code: "CONFLICT",
    });
    expect((await state(other))?.tier).toBe("BASIC");
    expect(await world.credits(other)).toBe(500);
  });

  it("grants a yearly plan month by month, and stops when it ends", async () => {
    const userId = await subscriber("BASIC", "year");
    expect(await granted(userId)).toBe(500);
    expect(await world.payment.grantMonthly()).toBe(0);
    for (let month = 2; month <= 4; month += 1) {
      world.travel({ months: 1 });
      await world.payment.grantMonthly();
      expect(await granted(userId)).toBe(500 * month);
      await world.payment.grantMonthly();
      expect(await granted(userId)).toBe(500 * month);
    }
    const { preview } = await upgrade(userId, plan("PRO", "year").id);
    expect(preview.amountDue).toBeGreaterThan(0);
    const before = await granted(userId);
    world.travel({ months: 1 });
    await world.payment.grantMonthly();
    expect(await granted(userId)).toBe(before + 1500);
    await world.payment.endSubscription(userId);
    await world.payment.endSubscription(userId);
    expect(await state(userId)).toBeNull();
    world.travel({ months: 2 });
    await world.payment.grantMonthly();
    expect(await granted(userId)).toBe(before + 1500);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("turns a month into a year by paying the difference, never a year into months", async () => {
    const userId = await subscriber("BASIC", "month");
    world.travel({ days: 10 });
    const { preview, subscription } = await upgrade(userId, plan("BASIC", "year").id);
    expect(subscription.interval).toBe("year");
    expect(preview.amountDue).toBeLessThan(9990);
    const total = await granted(userId);
    expect(total).toBe(500 + preview.creditsNow);
    for (let month = 0; month < 11; month += 1) {
      world.travel({ months: 1 });
      await world.payment.grantMonthly();
    }
    const unused = ((9990 - preview.amountDue) / 999) * 500;
    expect(await granted(userId)).toBe(500 + 6000 - Math.ceil(unused));
    await expect(
      world.payment.previewPlanChange(userId, { planId: plan("PRO", "month").id }),
    ).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("prorates by Stripe's own clock, should it be ahead of ours", async () => {
    const userId = await subscriber("BASIC", "month");
    world.sandbox.control.advance({ months: 1, days: 3 });
    await world.settled();
    expect(await granted(userId)).toBe(1000);
    const { preview } = await upgrade(userId, plan("PRO", "month").id);
    expect(preview.amountDue).toBeGreaterThan(800);
    expect(preview.amountDue).toBeLessThan(990);
    expect(await granted(userId)).toBe(1000 + preview.creditsNow);
  });

  it("keeps one payment for a subscription whose checkout answer was lost for good", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.subscribe(userId, {
      planId: plan("BASIC", "month").id,
    });
    await world.models.checkout.update({
      where: { stripeSessionId: sessionId },
      data: { stripeSessionId: null, url: null },
    });
    await world.models.payment.deleteMany({ where: { userId } });
    world.sandbox.control.completeCheckout(sessionId);
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
      planId: plan("BASIC", "month").id,
    });
    await world.payment.endSubscription(userId);
    expect(world.sandbox.control.completeCheckout(sessionId).status).toBe("expired");
    const stranger = await world.createUser();
    await world.payment.endSubscription(stranger);
    await expect(world.payment.cancelSubscription(stranger)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});
