// An answer of Stripe that was overtaken on its way never overwrites the newer one.
import { describe, expect, it } from "vitest";
import { paymentTables } from "../../../server/payment/payment.store.ts";
import { findCheckout } from "../../../server/payment/sync/checkout-lookup.ts";
import type { StripePort } from "../../../server/payment/stripe/port.ts";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { useShop } from "../../support/use-app.ts";

/** Holds the next answer of one kind back until told. */
interface Gate {
  readonly reached: Promise<void>;
  open(): void;
}

/** `target` with one of its members replaced; Prisma's objects cannot be spread. */
function replaced<T extends object>(target: T, name: string, member: unknown): T {
  return new Proxy(target, {
    get: (_, asked): unknown => (asked === name ? member : Reflect.get(target, asked)),
  });
}

describe("overtaken answers", () => {
  const world = useShop({
    available,
    instances: 2,
    webhooks: false,
    wrapStripe: (port: StripePort): StripePort => {
      stripe = port;
      return {
        ...port,
        listRefunds: (id) => pass("listRefunds", port.listRefunds(id)),
        getSubscription: (id) => pass("getSubscription", port.getSubscription(id)),
      };
    },
  });
  let stripe: StripePort;
  const gates = new Map<string, { arrive: () => void; opened: Promise<void> }>();

  function holdNext(call: "listRefunds" | "getSubscription"): Gate {
    let arrive = () => {};
    let open = () => {};
    const reached = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    gates.set(call, { arrive, opened });
    return { reached, open };
  }

  /** The answer is fetched at once, and then waits: by the time it arrives it is old. */
  async function pass<T>(call: string, answer: Promise<T>): Promise<T> {
    const gate = gates.get(call);
    gates.delete(call);
    const fetched = await answer;
    if (gate !== undefined) {
      gate.arrive();
      await gate.opened;
    }
    return fetched;
  }

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
    const gate = holdNext("listRefunds");
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

  it("takes the share of a new month when a refund comes while it is granted", async () => {
    const userId = await world.createUser();
    const sessionId = await world.subscribe(userId, "plan_basic_year");
    await world.payment.confirm(userId, { sessionId });
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
    world.travel({ months: 1 });
    const gate = holdNext("getSubscription");
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
    const gate = holdNext("getSubscription");
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
    // As if Stripe's answer had been lost: only our reference at Stripe names the row.
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
