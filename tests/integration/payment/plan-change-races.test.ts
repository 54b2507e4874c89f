// Double clicks and second tabs around a refused order: what Stripe shows by then counts, not what was read before.
import { afterEach, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { useShop } from "../../support/use-app.ts";

describe("plan changes that overtake each other", () => {
  const held = createHeldCalls();
  const world = useShop({ available, wrapStripe: held.wrap });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);
  afterEach(() => world.sandbox.stripe.control.wellBehaved());

  const id = (tier: string, interval: "month" | "year" = "month") => on.plan(tier, interval).id;
  const declined = { code: "CONFLICT", message: "The payment was declined. Nothing has changed." };

  /** Creates a subscriber of `tier` with a pending downgrade. */
  async function waiting(tier: string): Promise<string> {
    const userId = await on.subscriber(tier, "month");
    await on.upgrade(userId, id("BASIC"));
    return userId;
  }

  async function setCard(userId: string, card: "ok" | "failing"): Promise<void> {
    world.sandbox.stripe.control.setCard(await world.customerOf(userId), card);
  }

  async function scheduleOf(userId: string): Promise<unknown> {
    return (await merchant.get(`subscriptions/${await on.stripeIdOf(userId)}`))["schedule"];
  }

  /** Makes every write to `path` fail until Stripe behaves well again. */
  function fail(path: string, status: number): void {
    const type = status === 400 ? "invalid_request_error" : "api_error";
    const error = { status, type, message: "Refused." };
    const always = { method: "POST", times: Number.POSITIVE_INFINITY };
    world.sandbox.stripe.control.misbehave({ fault: "500", ...always, path, error });
  }

  /** Previews the change to `planId`; returns a function that confirms it. */
  async function shown(userId: string, planId: string) {
    const { previewToken } = await world.payment.previewPlanChange(userId, { planId });
    return () => world.payment.changePlan(userId, { planId, previewToken });
  }

  /** Confirms an upgrade that the bank declines, whose answer is held back; `end` lets it arrive. */
  async function declinedPress(userId: string, press: () => Promise<unknown>) {
    await setCard(userId, "failing");
    const answer = held.holdNext("changePrice");
    const outcome = press().catch((error: unknown) => error);
    await answer.reached;
    await setCard(userId, "ok");
    return {
      end: async () => {
        answer.open();
        const ended = await outcome;
        await world.settled();
        return ended;
      },
    };
  }

  it("keeps the paid upgrade alone when the press that was declined before it ends after it", async () => {
    const userId = await waiting("PRO");
    const press = await shown(userId, id("TEAM"));
    const first = await declinedPress(userId, press);
    const second = await press();
    expect(second.subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    expect(await first.end()).toEqual(second);
    expect(await on.state(userId)).toMatchObject({ tier: "TEAM", pendingPlan: null });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("keeps the paid upgrade alone when the declined press ended before it", async () => {
    const userId = await waiting("PRO");
    const press = await shown(userId, id("TEAM"));
    const first = await declinedPress(userId, press);
    const order = held.holdNext("changePrice", "unsent");
    const second = press();
    await order.reached;
    expect(await first.end()).toMatchObject(declined);
    expect((await on.state(userId))?.pendingPlan).toMatchObject({ planId: id("BASIC") });
    order.open();
    expect((await second).subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "TEAM", pendingPlan: null });
  });

  it("leaves the paid upgrade alone also when the schedule of before is let go at the second try", async () => {
    const userId = await waiting("PRO");
    const press = await shown(userId, id("TEAM"));
    const first = await declinedPress(userId, press);
    const order = held.holdNext("changePrice", "unsent");
    const second = press();
    await order.reached;
    expect(await first.end()).toMatchObject(declined);
    fail("/release", 500);
    order.open();
    await expect(second).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
    world.sandbox.stripe.control.wellBehaved();
    const again = await press();
    expect(again.subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    // What is chosen afterwards stays, even if the earlier offer is confirmed once more.
    await on.upgrade(userId, id("PRO"));
    const last = await press();
    expect(last.subscription).toMatchObject({
      tier: "TEAM",
      pendingPlan: { planId: id("PRO") },
    });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("lets another cheaper plan take the place of one that a paid upgrade could not let go of", async () => {
    const userId = await waiting("PRO");
    const press = await shown(userId, id("TEAM"));
    fail("/release", 500);
    await expect(press()).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
    world.sandbox.stripe.control.wellBehaved();
    const { subscription } = await on.upgrade(userId, id("PRO"));
    expect(subscription).toMatchObject({ tier: "TEAM", pendingPlan: { planId: id("PRO") } });
  });

  it("does not say done while it cannot let go of what was chosen during the payment", async () => {
    const userId = await on.subscriber("PRO", "month");
    const order = held.holdNext("changePrice", "unsent");
    const press = await shown(userId, id("TEAM"));
    const pressing = press();
    await order.reached;
    await on.upgrade(userId, id("BASIC"));
    fail("/release", 500);
    order.open();
    await expect(pressing).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
  });

  it("keeps another upgrade that was paid when a declined one ends after it", async () => {
    const userId = await waiting("PRO");
    const first = await declinedPress(userId, await shown(userId, id("TEAM")));
    await on.upgrade(userId, id("PRO", "year"));
    expect(await first.end()).toMatchObject(declined);
    expect(await on.state(userId)).toMatchObject({
      tier: "PRO",
      interval: "year",
      pendingPlan: null,
    });
  });

  it("keeps the other cheaper plan that was chosen when a declined upgrade ends after it", async () => {
    const userId = await waiting("TEAM");
    const first = await declinedPress(userId, await shown(userId, id("TEAM", "year")));
    await on.upgrade(userId, id("PRO"));
    expect(await first.end()).toMatchObject(declined);
    expect(await on.state(userId)).toMatchObject({
      tier: "TEAM",
      pendingPlan: { planId: id("PRO") },
    });
  });

  it("keeps a subscription cancelled or ended, and says declined, when a declined upgrade ends after it", async () => {
    const userId = await waiting("PRO");
    const first = await declinedPress(userId, await shown(userId, id("TEAM")));
    await world.payment.cancelSubscription(userId);
    expect(await first.end()).toMatchObject(declined);
    expect(await on.state(userId)).toMatchObject({ cancelAtPeriodEnd: true, pendingPlan: null });
    const leaver = await waiting("PRO");
    const last = await declinedPress(leaver, await shown(leaver, id("TEAM")));
    await world.payment.endSubscription(leaver);
    expect(await last.end()).toMatchObject(declined);
    expect(await on.state(leaver)).toBeNull();
  });

  it("keeps the cheaper plan waiting when one offer is declined again and again", async () => {
    world.sandbox.stripe.control.setWebhookUrl(null);
    const userId = await world.createUser();
    const sessionId = await world.subscribe(userId, id("PRO"));
    await world.payment.confirm(userId, { sessionId });
    await on.upgrade(userId, id("BASIC"));
    await setCard(userId, "failing");
    const press = await shown(userId, id("TEAM"));
    for (let round = 0; round < 2; round += 1)
      await expect(press()).rejects.toMatchObject(declined);
    world.sandbox.stripe.control.setWebhookUrl(`${world.url}/api/payment/webhook`);
    await world.payment.reconcile();
    expect(await on.state(userId)).toMatchObject({ pendingPlan: { planId: id("BASIC") } });
  });

  it.each([400, 500])(
    "keeps the cheaper plan waiting when the upgrade fails with %i, or is never sent",
    async (status) => {
      const userId = await waiting("PRO");
      const press = await shown(userId, id("TEAM"));
      const schedule = await scheduleOf(userId);
      fail("/v1/subscriptions/", status);
      await expect(press()).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
      world.sandbox.stripe.control.wellBehaved();
      expect(await scheduleOf(userId)).toBe(schedule);
      await world.payment.reconcile();
      expect(await on.state(userId)).toMatchObject({
        tier: "PRO",
        pendingPlan: { planId: id("BASIC") },
      });
      // A process that dies before sending it leaves the same state behind.
      const order = held.holdNext("changePrice", "unsent");
      const last = press();
      await order.reached;
      expect(await scheduleOf(userId)).toBe(schedule);
      order.open();
      expect((await last).subscription).toMatchObject({ tier: "TEAM", pendingPlan: null });
    },
  );

  it("leaves a merchant's own schedule in place when an upgrade is declined", async () => {
    const userId = await on.subscriber("PRO", "month");
    const { id: schedule } = await merchant.post("subscription_schedules", {
      from_subscription: await on.stripeIdOf(userId),
    });
    await setCard(userId, "failing");
    const press = await shown(userId, id("TEAM"));
    await expect(press()).rejects.toMatchObject(declined);
    expect(await scheduleOf(userId)).toBe(schedule);
  });

  it("asks to look again when what waits has changed since the upgrade was shown", async () => {
    const userId = await on.subscriber("PRO", "month");
    const press = await shown(userId, id("TEAM"));
    await on.upgrade(userId, id("BASIC"));
    await expect(press()).rejects.toMatchObject({ code: "PREVIEW_STALE" });
    expect(await on.state(userId)).toMatchObject({
      tier: "PRO",
      pendingPlan: { planId: id("BASIC") },
    });
  });

  it("takes no plan back that was paid while another cheaper one took the place of what waited", async () => {
    const userId = await waiting("TEAM");
    // Phases carry the second in which the current one began, by which Stripe notices that another one has begun since.
    world.travel({ minutes: 1 });
    const upgrade = await shown(userId, id("TEAM", "year"));
    const downgrade = await shown(userId, id("PRO"));
    const phases = held.holdNext("setSchedule", "unsent");
    const choosing = downgrade().catch((error: unknown) => error);
    await phases.reached;
    const release = held.holdNext("releaseSchedule", "unsent");
    const upgrading = upgrade();
    await release.reached;
    phases.open();
    expect(await choosing).toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
    release.open();
    expect((await upgrading).subscription).toMatchObject({
      tier: "TEAM",
      interval: "year",
      pendingPlan: null,
    });
    await world.settled();
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("keeps the cheaper plan waiting, or ends with the period, when cancelling fails half-way", async () => {
    const userId = await waiting("PRO");
    const before = await on.state(userId);
    const cancel = () => world.payment.cancelSubscription(userId);
    fail("/v1/subscription_schedules/", 500);
    await expect(cancel()).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
    world.sandbox.stripe.control.wellBehaved();
    await world.payment.reconcile();
    expect(await on.state(userId)).toEqual(before);
    for (const path of ["/release", "/v1/subscriptions/"]) {
      fail(path, 500);
      await expect(cancel()).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
      world.sandbox.stripe.control.wellBehaved();
      await world.settled();
      expect(await on.state(userId)).toMatchObject({
        tier: "PRO",
        pendingPlan: null,
        cancelAt: before?.currentPeriodEnd,
      });
    }
    const ended = await cancel();
    expect(ended.subscription).toMatchObject({
      cancelAtPeriodEnd: true,
      cancelAt: before?.currentPeriodEnd,
    });
    expect(await scheduleOf(userId)).toBeNull();
    const resumed = await world.payment.resumeSubscription(userId);
    expect(resumed.subscription).toMatchObject({ cancelAtPeriodEnd: false, cancelAt: null });
  });

  it("keeps the cheaper plan waiting also when it is not offered any more, and says declined", async () => {
    const userId = await waiting("PRO");
    const press = await shown(userId, id("TEAM"));
    await setCard(userId, "failing");
    const offer = (isActive: boolean) =>
      world.models.plan.update({ where: { id: id("BASIC") }, data: { isActive } });
    await offer(false);
    try {
      await expect(press()).rejects.toMatchObject(declined);
    } finally {
      await offer(true);
    }
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ pendingPlan: { planId: id("BASIC") } });
  });

  it("keeps the paid upgrade alone when a cheaper plan was chosen before it and ends after it", async () => {
    const userId = await on.subscriber("PRO", "month");
    const downgrade = await shown(userId, id("BASIC"));
    const upgrade = await shown(userId, id("TEAM"));
    const schedule = held.holdNext("createSchedule", "unsent");
    const choosing = downgrade();
    await schedule.reached;
    await upgrade();
    schedule.open();
    await expect(choosing).rejects.toMatchObject({ code: "PREVIEW_STALE" });
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "TEAM", pendingPlan: null });
  });

  it("lets a cheaper plan wait at a fresh price when its price was archived", async () => {
    const userId = await on.subscriber("PRO", "month");
    const former = await merchant.priceOf(id("BASIC"));
    await merchant.post(`prices/${former}`, { active: "false" });
    const { subscription } = await on.upgrade(userId, id("BASIC"));
    expect(subscription).toMatchObject({ tier: "PRO", pendingPlan: { planId: id("BASIC") } });
    expect(await merchant.priceOf(id("BASIC"))).not.toBe(former);
  });

  it("does not say cancelled when Stripe refused it because a cheaper plan was chosen meanwhile", async () => {
    const userId = await on.subscriber("PRO", "month");
    const order = held.holdNext("setCancellation", "unsent");
    const cancelling = world.payment.cancelSubscription(userId);
    await order.reached;
    await on.upgrade(userId, id("BASIC"));
    order.open();
    await expect(cancelling).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
    const again = await world.payment.cancelSubscription(userId);
    expect(again.subscription).toMatchObject({ cancelAtPeriodEnd: true, pendingPlan: null });
  });
});
