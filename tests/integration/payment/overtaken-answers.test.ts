// An answer from Stripe that was overtaken on its way never overwrites the newer one.
import { describe, expect, it } from "vitest";
import { paymentTables } from "../../../server/payment/payment.store.ts";
import { findCheckout } from "../../../server/payment/sync/checkout-lookup.ts";
import type { StripePort } from "../../../server/payment/stripe/port.ts";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { useShop } from "../../support/use-app.ts";

/** Returns `target` with one of its members replaced; Prisma's objects cannot be spread. */
function replaced<T extends object>(target: T, name: string, member: unknown): T {
  return new Proxy(target, {
    get: (_, asked): unknown => (asked === name ? member : Reflect.get(target, asked)),
  });
}

describe("overtaken answers", () => {
  const held = createHeldCalls();
  const world = useShop({
    available,
    instances: 2,
    webhooks: false,
    wrapStripe: (port) => {
      stripe = port;
      return held.wrap(port);
    },
  });
  let stripe: StripePort;

  const last = (type: string) => {
    const event = world.sandbox.stripe.control.events(type).at(-1);
    if (event === undefined) throw new Error(`no ${type}`);
    return event;
  };

  it("keeps the larger refund when the list without it arrives last", async () => {
    const userId = await world.createUser();
    const sessionId = await world.buy(userId, "pkg_small");
    await world.payment.confirm(userId, { sessionId });
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
    world.sandbox.stripe.control.refund(payment.stripePaymentId ?? "", { amount: 100 });
    const gate = held.holdNext("listRefunds");
    const slow = world.deliver(last("refund.created"), 0);
    await gate.reached;
    world.sandbox.stripe.control.refund(payment.stripePaymentId ?? "", { amount: 150 });
    expect(await world.deliver(last("refund.created"), 1)).toBe(200);
    gate.open();
    expect(await slow).toBe(200);
    expect(
      await world.models.payment.findUniqueOrThrow({ where: { id: payment.id } }),
    ).toMatchObject({ refundedAmount: 250, refundedCredits: 50, status: "PARTIALLY_REFUNDED" });
    expect(await world.credits(userId)).toBe(50);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("takes nothing for a refund that has failed when the list with it arrives last", async () => {
    const userId = await world.createUser();
    const sessionId = await world.buy(userId, "pkg_small");
    await world.payment.confirm(userId, { sessionId });
    const { id, stripePaymentId } = await world.models.payment.findFirstOrThrow({
      where: { userId },
    });
    const { control } = world.sandbox.stripe;
    const refund = control.refund(stripePaymentId ?? "", { amount: 100, outcome: "pending" });
    const gate = held.holdNext("listRefunds");
    const slow = world.deliver(last("refund.created"), 0);
    await gate.reached;
    control.settleRefund(refund.id, false);
    expect(await world.deliver(last("refund.failed"), 1)).toBe(200);
    gate.open();
    expect(await slow).toBe(200);
    expect(await world.models.payment.findUniqueOrThrow({ where: { id } })).toMatchObject({
      refundedAmount: 0,
      refundedCredits: 0,
      status: "SUCCESS",
    });
    expect(await world.credits(userId)).toBe(100);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("takes the share of a new month when a refund comes while it is granted", async () => {
    const userId = await world.createUser();
    const sessionId = await world.subscribe(userId, "plan_basic_year");
    await world.payment.confirm(userId, { sessionId });
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
    world.travel({ months: 1 });
    const gate = held.holdNext("getSubscription");
    const slow = world.payment.grantMonthly();
    await gate.reached;
    world.sandbox.stripe.control.refund(payment.stripePaymentId ?? "", {
      amount: payment.amount / 2,
    });
    expect(await world.deliver(last("refund.created"), 1)).toBe(200);
    gate.open();
    await slow;
    expect(
      await world.models.payment.findUniqueOrThrow({ where: { id: payment.id } }),
    ).toMatchObject({ creditsPurchased: 1_000, refundedCredits: 500 });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("keeps a subscription ended when the live one arrives last", async () => {
    const userId = await world.createUser();
    const sessionId = await world.subscribe(userId, "plan_basic_month");
    await world.payment.confirm(userId, { sessionId });
    const row = await world.models.subscription.findFirstOrThrow({ where: { userId } });
    const gate = held.holdNext("getSubscription");
    const slow = world.deliver(last("customer.subscription.created"), 0);
    await gate.reached;
    world.sandbox.stripe.control.cancelSubscription(row.stripeSubscriptionId);
    expect(await world.deliver(last("customer.subscription.deleted"), 1)).toBe(200);
    gate.open();
    expect(await slow).toBe(200);
    expect(
      await world.models.subscription.findUniqueOrThrow({ where: { id: row.id } }),
    ).toMatchObject({ status: "canceled", liveKey: null });
  });

  it("knows a session whose id another look writes between its two reads", async () => {
    const userId = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_small" });
    const { checkout } = world.models;
    const row = await checkout.findUniqueOrThrow({ where: { stripeSessionId: sessionId } });
    const write = (stripeSessionId: string | null) =>
      checkout.update({ where: { id: row.id }, data: { stripeSessionId } });
    // As if Stripe's answer had been lost: the row can only be found by our reference at Stripe.
    await write(null);
    const overtaken = async (...args: Parameters<typeof checkout.findUnique>) => {
      const found = await checkout.findUnique(...args);
      if (found === null) await write(sessionId);
      return found;
    };
    const models = replaced(world.models, "checkout", replaced(checkout, "findUnique", overtaken));
    const session = await stripe.getCheckout(sessionId);
    expect(await findCheckout(paymentTables(models), session)).toMatchObject({ id: row.id });
  });
});
