// Buying a package grants its credits exactly once, whichever way the payment becomes known.
import { beforeAll, describe, expect, it } from "vitest";
import { balanceKey } from "../../../server/ledger/balance-cache.ts";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { openShop } from "../../support/shop.ts";
import { useShop } from "../../support/use-app.ts";

describe("buying", () => {
  const world = useShop({ available, logLevel: "info" });
  let small: { id: string; credits: number; price: number };

  beforeAll(async () => {
    const { packages } = await world.payment.packages();
    const [first] = packages;
    if (first === undefined) throw new Error("no packages seeded");
    small = first;
  });

  it("sells the seeded packages", async () => {
    const { packages } = await world.payment.packages();
    expect(packages.map(({ credits, price, currency }) => [credits, price, currency])).toEqual([
      [100, 500, "usd"],
      [500, 2000, "usd"],
      [1500, 5000, "usd"],
    ]);
  });

  it("grants on the webhook, shows it on the return page and in the history", async () => {
    const userId = await world.createUser();
    const sessionId = await world.buy(userId, small.id);
    await world.settled();
    expect(await world.credits(userId)).toBe(100);
    expect(await world.payment.confirm(userId, { sessionId })).toEqual({
      status: "SUCCESS",
      creditsAdded: 100,
      balance: 100,
    });
    const { payments, total } = await world.payment.history(userId, { limit: 50 });
    expect(total).toBe(1);
    expect(payments[0]).toMatchObject({
      amount: 500,
      currency: "usd",
      status: "SUCCESS",
      creditsPurchased: 100,
      refundedAmount: 0,
    });
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("shows no older balance on the return page's confirmation, though the server died before it told", async () => {
    const two = await openShop({ available, instances: 2, webhooks: false });
    try {
      const [dead, successor] = two.instances;
      const userId = await two.createUser();
      const sessionId = await two.buy(userId, small.id);
      await dead.payment.confirm(userId, { sessionId });
      const cache = successor?.backend.cache;
      // Cached earlier by another server, and never invalidated.
      await cache?.set(balanceKey(userId), "{}", 10);
      const told = await successor?.payment.confirm(userId, { sessionId });
      expect(told).toMatchObject({ status: "SUCCESS", balance: 100 });
      expect(await cache?.get(balanceKey(userId))).not.toBe("{}");
    } finally {
      await two.close();
    }
  });

  it("grants nothing of what is given back already when the purchase is first heard of", async () => {
    const userId = await world.createUser();
    const { control } = world.sandbox.stripe;
    control.misdeliver({ paused: true });
    const sessionId = await world.buy(userId, small.id);
    const [completed] = control.events("checkout.session.completed").slice(-1);
    control.refund(control.completeCheckout(sessionId).payment_intent ?? "", { amount: 250 });
    expect(await world.deliver(completed ?? { id: "" })).toBe(200);
    expect(await world.credits(userId)).toBe(50);
    const { payments } = await world.payment.history(userId, { limit: 1 });
    expect(payments).toMatchObject([{ status: "PARTIALLY_REFUNDED", refundedAmount: 250 }]);
    control.wellBehaved();
    await world.settled();
    expect(await world.credits(userId)).toBe(50);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("grants what is paid also where Stripe's stand-in knows neither refunds nor disputes", async () => {
    const userId = await world.createUser();
    const { control } = world.sandbox.stripe;
    const type = "invalid_request_error";
    const error = { status: 404, type, code: "resource_missing", message: "Unknown." };
    for (const path of ["/v1/refunds", "/v1/disputes"])
      control.misbehave({ fault: "500", method: "GET", path, times: 100, error });
    await world.buy(userId, small.id);
    await world.settled();
    expect(await world.credits(userId)).toBe(100);
    control.wellBehaved();
  });

  it("grants what is paid also where the key may not read refunds or disputes, and takes nothing back unseen", async () => {
    const { control } = world.sandbox.stripe;
    const message = "The key does not have the required permission.";
    const error = { status: 403, type: "invalid_request_error", code: "forbidden", message };
    for (const path of ["/v1/refunds", "/v1/disputes"])
      control.misbehave({ fault: "500", method: "GET", path, times: 100, error });
    const { plans } = await world.payment.plans();
    const [buyer, subscriber] = [await world.createUser(), await world.createUser()];
    const sessionId = await world.buy(buyer, small.id);
    await world.subscribe(subscriber, plans.find(({ tier }) => tier === "BASIC")?.id ?? "");
    await world.settled();
    expect(await world.credits(buyer)).toBe(100);
    expect(await world.credits(subscriber)).toBe(500);
    const told = world.logged().filter(({ msg }) => String(msg).includes("may not read refunds"));
    expect(told.map(({ advice }) => advice)).toContainEqual(
      expect.stringContaining("has no permission for refunds.list"),
    );
    const { payment_intent: intent } = control.completeCheckout(sessionId);
    control.refund(intent ?? "");
    await world.settled();
    expect(await world.credits(buyer)).toBe(100);
    control.wellBehaved();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await world.credits(buyer)).toBe(0);
    expect(await brokenInvariants(world.models, buyer)).toEqual([]);
  });

  it("shows a pending payment from the moment of checkout, and nobody else's", async () => {
    const userId = await world.createUser();
    const other = await world.createUser();
    const { sessionId } = await world.payment.checkout(userId, { packageId: small.id });
    const { payments } = await world.payment.history(userId, { limit: 50 });
    expect(payments.map(({ status }) => status)).toEqual(["PENDING"]);
    expect(await world.payment.confirm(userId, { sessionId })).toEqual({
      status: "PENDING",
      creditsAdded: 0,
      balance: 0,
    });
    await expect(world.payment.confirm(other, { sessionId })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(
      world.payment.confirm(userId, { sessionId: "cs_test_none" }),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("gives the same checkout to a second click and to thirty at once, and makes one customer", async () => {
    const userId = await world.createUser();
    const opened = await Promise.all(
      Array.from({ length: 30 }, () => world.payment.checkout(userId, { packageId: small.id })),
    );
    expect(new Set(opened.map(({ sessionId }) => sessionId)).size).toBe(1);
    expect(await world.models.checkout.count({ where: { userId } })).toBe(1);
    const again = await world.payment.checkout(userId, { packageId: small.id });
    expect(again.sessionId).toBe(opened[0]?.sessionId);
    const created = world.sandbox.stripe.control
      .events("customer.created")
      .filter((event) => JSON.stringify(event).includes(userId));
    expect(created).toHaveLength(1);
  });

  it("replaces an expired checkout and closes it by its event", async () => {
    const userId = await world.createUser();
    const first = await world.payment.checkout(userId, { packageId: small.id });
    world.sandbox.stripe.control.expireCheckout(first.sessionId);
    await world.settled();
    const { payments } = await world.payment.history(userId, { limit: 50 });
    expect(payments.map(({ status }) => status)).toEqual(["FAILED"]);
    const second = await world.payment.checkout(userId, { packageId: small.id });
    expect(second.sessionId).not.toBe(first.sessionId);
  });

  it("lets the same package be bought again and again", async () => {
    const userId = await world.createUser();
    for (let round = 1; round <= 3; round += 1) {
      await world.buy(userId, small.id);
      await world.settled();
      expect(await world.credits(userId)).toBe(100 * round);
    }
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("waits for delayed payment methods, and takes a failed one for failed", async () => {
    const [paid, failed] = [await world.createUser(), await world.createUser()];
    for (const [userId, isPaid] of [
      [paid, true],
      [failed, false],
    ] as const) {
      const { sessionId } = await world.payment.checkout(userId, { packageId: small.id });
      world.sandbox.stripe.control.completeCheckout(sessionId, "delayed");
      await world.settled();
      expect(await world.credits(userId)).toBe(0);
      expect((await world.payment.confirm(userId, { sessionId })).status).toBe("PENDING");
      world.sandbox.stripe.control.settleDelayedPayment(sessionId, isPaid);
      await world.settled();
      expect((await world.payment.confirm(userId, { sessionId })).status).toBe(
        isPaid ? "SUCCESS" : "FAILED",
      );
      expect(await world.credits(userId)).toBe(isPaid ? 100 : 0);
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
    }
  });

  it("suggests the smallest package that is enough, else the largest", async () => {
    const { packages } = await world.payment.packages();
    const of = (credits: number) => packages.find((one) => one.credits === credits)?.id;
    expect(await world.payment.suggestPackage(1)).toBe(of(100));
    expect(await world.payment.suggestPackage(101)).toBe(of(500));
    expect(await world.payment.suggestPackage(1_000_000)).toBe(of(1500));
  });

  it("knows no package of that name", async () => {
    const userId = await world.createUser();
    await expect(world.payment.checkout(userId, { packageId: "none" })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});
