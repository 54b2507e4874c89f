// What Stripe remembers: a failure saved under an idempotency key is replayed for a day. It must not block the user,
// and still at most one object is created per action.
import { beforeAll, describe, expect, it } from "vitest";
import { createStripeAdapter } from "../../../server/adapters/stripe/stripe.ts";
import type { ApiRule } from "../../../server/sandbox/src/stripe/api/misbehaviour.ts";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { SECRET_KEY, TEST_LIMITS } from "../../support/shop.ts";
import { useShop } from "../../support/use-app.ts";

describe("failures Stripe saved", () => {
  const world = useShop({ available, instances: 2 });
  let packageId: string;
  let planId: string;
  let dearerPlanId: string;

  beforeAll(async () => {
    packageId = (await world.payment.packages()).packages[0]?.id ?? "";
    const monthly = (await world.payment.plans()).plans
      .filter(({ interval }) => interval === "month")
      .sort((a, b) => a.price - b.price);
    planId = monthly[0]?.id ?? "";
    dearerPlanId = monthly[1]?.id ?? "";
  });

  const misbehave = (rule: ApiRule) => world.sandbox.stripe.control.misbehave(rule);
  /** Counts created objects whose event mentions `text`. */
  const made = (type: string, text: string): number =>
    world.sandbox.stripe.control
      .events(type)
      .filter(({ data }) => JSON.stringify(data.object).includes(text)).length;
  const fail = (method: string, path: string, after: boolean) =>
    misbehave({ method, path, fault: after ? "500-after" : "500", saved: true });
  const subscriber = async (): Promise<string> => {
    const userId = await world.createUser();
    await world.subscribe(userId, planId);
    await world.settled();
    expect((await world.payment.subscription(userId)).subscription?.status).toBe("active");
    return userId;
  };

  describe.each([
    ["and the work was not done", false],
    ["though the work was done", true],
  ])("%s", (_title, after) => {
    it("opens one checkout for one customer when both were answered with a saved 500", async () => {
      const userId = await world.createUser();
      fail("POST", "/v1/customers", after);
      fail("POST", "/v1/checkout/sessions", after);
      const tries = await Promise.allSettled(
        world.instances.map(({ payment }) => payment.checkout(userId, { packageId })),
      );
      const { sessionId } = await world.payment.checkout(userId, { packageId });
      for (const one of tries)
        if (one.status === "fulfilled") expect(one.value.sessionId).toBe(sessionId);
      world.sandbox.stripe.control.completeCheckout(sessionId);
      await world.payment.confirm(userId, { sessionId });
      expect(await world.credits(userId)).toBe(100);
      expect(made("customer.created", userId)).toBe(1);
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
    });

    it("makes one refund when it was answered with a saved 500", async () => {
      const userId = await world.createUser();
      await world.buy(userId, packageId);
      await world.settled();
      const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
      const order = {
        paymentId: payment.id,
        amountMinorUnits: 250,
        idempotencyKey: "once",
        actorId: "admin",
      };
      fail("POST", "/v1/refunds", after);
      const answers = await Promise.allSettled(
        world.instances.map((instance) => instance.payment.refundPayment(order)),
      );
      expect(answers.some(({ status }) => status === "fulfilled")).toBe(true);
      expect((await world.payment.refundPayment(order)).refundedAmount).toBe(250);
      expect(made("refund.created", payment.stripePaymentId ?? "none")).toBe(1);
    });

    it("cancels, resumes, changes the plan and ends it when each was answered with a saved 500", async () => {
      const userId = await subscriber();
      fail("POST", "/v1/subscriptions/", after);
      expect((await world.payment.cancelSubscription(userId)).subscription).toMatchObject({
        cancelAtPeriodEnd: true,
      });
      fail("POST", "/v1/subscriptions/", after);
      expect((await world.payment.resumeSubscription(userId)).subscription).toMatchObject({
        cancelAtPeriodEnd: false,
      });
      const preview = await world.payment.previewPlanChange(userId, { planId: dearerPlanId });
      fail("POST", "/v1/subscriptions/", after);
      const changed = await world.payment.changePlan(userId, {
        planId: dearerPlanId,
        previewToken: preview.previewToken,
      });
      expect(changed.subscription.planId).toBe(dearerPlanId);
      const customerId = await world.customerOf(userId);
      const invoices = world.sandbox.stripe.control
        .events("invoice.paid")
        .filter(({ data }) => JSON.stringify(data.object).includes(customerId));
      expect(invoices).toHaveLength(2);
      fail("DELETE", "/v1/subscriptions/", after);
      await world.payment.endSubscription(userId);
      expect((await world.payment.subscription(userId)).subscription).toBeNull();
      expect(made("customer.subscription.deleted", customerId)).toBe(1);
    });

    it("sells a plan whose price and product were answered with a saved 500", async () => {
      await world.models.plan.create({
        data: {
          id: `SAVED_${after}`,
          tier: "BASIC",
          name: "Saved",
          credits: 10,
          price: 1234,
          currency: "usd",
          interval: "month",
          isActive: true,
          sortOrder: 99,
        },
      });
      fail("POST", "/v1/products", after);
      misbehave({
        method: "POST",
        path: "/v1/products/",
        fault: "500",
        error: {
          status: 404,
          type: "invalid_request_error",
          code: "resource_missing",
          message: "No such product",
        },
      });
      fail("POST", "/v1/prices", after);
      const userId = await world.createUser();
      await world.subscribe(userId, `SAVED_${after}`);
      expect(made("price.created", `SAVED_${after}`)).toBe(1);
      await world.settled();
    });
  });

  it("takes no refund that failed for the one whose answer was a saved 500", async () => {
    const userId = await world.createUser();
    await world.buy(userId, packageId);
    await world.settled();
    const { id: paymentId } = await world.models.payment.findFirstOrThrow({ where: { userId } });
    world.sandbox.stripe.control.nextRefunds("failing");
    fail("POST", "/v1/refunds", true);
    const order = { paymentId, amountMinorUnits: 250, idempotencyKey: "once", actorId: "admin" };
    expect(await world.payment.refundPayment(order)).toMatchObject({
      status: "succeeded",
      refundedAmount: 250,
    });
    await world.settled();
    expect(await world.credits(userId)).toBe(50);
  });

  it("goes on though several keys in a row were burnt, by an outage say, and makes one object", async () => {
    const userId = await world.createUser();
    const times = Number.POSITIVE_INFINITY;
    misbehave({ method: "POST", path: "/v1/customers", fault: "500", saved: true, times });
    for (let click = 0; click < 6; click += 1)
      await expect(world.payment.checkout(userId, { packageId })).rejects.toMatchObject({
        code: "PAYMENT_PROVIDER_ERROR",
      });
    world.sandbox.stripe.control.wellBehaved();
    await world.payment.checkout(userId, { packageId });
    expect(made("customer.created", userId)).toBe(1);
  });

  it("takes a declined plan change that is tried again with another card for a new order", async () => {
    const userId = await subscriber();
    const { previewToken } = await world.payment.previewPlanChange(userId, {
      planId: dearerPlanId,
    });
    const order = { planId: dearerPlanId, previewToken };
    misbehave({
      method: "POST",
      path: "/v1/subscriptions/",
      fault: "500",
      saved: true,
      error: {
        status: 402,
        type: "card_error",
        code: "card_declined",
        message: "Your card was declined.",
      },
    });
    await expect(world.payment.changePlan(userId, order)).rejects.toMatchObject({
      code: "CONFLICT",
    });
    const { subscription } = await world.payment.changePlan(userId, order);
    expect(subscription.planId).toBe(dearerPlanId);
  });

  it("ends an open checkout when that was answered with a saved 500", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId });
    fail("POST", "/expire", false);
    await world.payment.endSubscription(userId);
    expect(made("checkout.session.expired", sessionId)).toBe(1);
  });

  it("asks Stripe no more often than its bounds allow when every answer is a saved 500", async () => {
    const stripe = createStripeAdapter(
      { secretKey: SECRET_KEY, webhookSecrets: [], apiBase: world.sandbox.stripe.url },
      TEST_LIMITS,
    );
    const { control } = world.sandbox.stripe;
    const counted = { path: "/v1/customers", times: 99 };
    control.wellBehaved();
    control.misbehave({ ...counted, method: "POST", fault: "500", saved: true });
    control.misbehave({ ...counted, method: "GET", fault: "slow", delayMs: 0 });
    const person = { userId: "nobody", email: "nobody@example.com", name: null };
    await expect(stripe.createCustomer(person, "bounded")).rejects.toMatchObject({
      code: "PAYMENT_PROVIDER_ERROR",
    });
    const asked = control.misbehaviours().api.reduce((sum, { times = 0 }) => sum + 99 - times, 0);
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThan(10);
    control.wellBehaved();
  });
});
