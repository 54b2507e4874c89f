// Two clicks on one checkout: one that fails never closes the session that the other one was given. An account deleted
// meanwhile is not left with anything to pay.
import { beforeAll, describe, expect, it } from "vitest";
import { createPaymentService } from "../../../server/payment/payment.service.ts";
import { createPaymentStore } from "../../../server/payment/payment.store.ts";
import type { StripePort } from "../../../server/payment/stripe/port.ts";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useShop } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

describe("checkouts that overtake each other", () => {
  const held = createHeldCalls();
  const world = useShop({
    available,
    wrapStripe: (port) => {
      stripe = port;
      return held.wrap(port);
    },
  });
  let stripe: StripePort;
  const merchant = merchantOf(world);
  const packageId = "pkg_small";

  beforeAll(async () => {
    await world.payment.syncCatalog();
  });

  const open = (userId: string) =>
    world.models.checkout.findMany({ where: { userId, status: "OPEN" } });
  const statusOf = async (sessionId: string) => (await stripe.getCheckout(sessionId)).status;

  it("sells no second plan to who pays for the first one while its checkout is ended", async () => {
    const userId = await world.createUser();
    const first = await world.payment.subscribe(userId, { planId: "plan_basic_month" });
    const ending = held.holdNext("expireCheckout", "unsent");
    const second = world.payment.subscribe(userId, { planId: "plan_pro_month" });
    await ending.reached;
    world.sandbox.stripe.control.completeCheckout(first.sessionId);
    await world.settled();
    ending.open();
    await expect(second).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await open(userId)).toEqual([]);
    expect(await world.credits(userId)).toBe(500);
  });

  it("returns one checkout to both presses when the first is refused after the second was given it", async () => {
    const userId = await world.createUser();
    const press = () => world.payment.checkout(userId, { packageId });
    const order = held.holdNext("createCheckout", "unsent");
    const first = press();
    await order.reached;
    // The price that the first one has read is replaced meanwhile, so to Stripe the two orders differ.
    await merchant.post(`prices/${await merchant.priceOf(packageId)}`, { active: "false" });
    await world.payment.syncCatalog();
    const second = await press();
    order.open();
    expect(await first).toEqual(second);
    expect(await statusOf(second.sessionId)).toBe("open");
    expect(await open(userId)).toMatchObject([{ stripeSessionId: second.sessionId }]);
  });

  it("leaves nothing to pay when a session is stored while the account's checkouts are closed", async () => {
    const userId = await world.createUser();
    const answer = held.holdNext("createCheckout");
    const pressing = world.payment.checkout(userId, { packageId });
    await answer.reached;
    const store = createPaymentStore({
      database: world.backend.database,
      ledger: { applyIn: () => Promise.reject(new Error("nothing is paid here")) },
    });
    const closing = createPaymentService({
      ...{ stripe, logger: world.logger, now: world.clock.now, sandbox: true },
      ...{ ledger: { changed: () => Promise.resolve() }, frontendUrl: world.url },
      signingSecrets: [],
      store: {
        ...store,
        checkouts: {
          ...store.checkouts,
          async open(id) {
            const found = await store.checkouts.open(id);
            answer.open();
            await pressing;
            return found;
          },
        },
      },
    });
    await closing.endSubscription(userId);
    expect(await statusOf((await pressing).sessionId)).toBe("expired");
    expect(await open(userId)).toEqual([]);
  });

  /** Creates a user whom Stripe knows as a customer. */
  async function customer() {
    const person = await world.person();
    await world.payment.checkout(person.userId, { packageId });
    return {
      ...person,
      async remove() {
        // The first session may have ended by then.
        const { accessToken } = await world.signInAgain(person.userId);
        const confirmEmail = { confirmEmail: person.email };
        return world.call("user.delete", "mutation", confirmEmail, bearer(accessToken));
      },
    };
  }

  it("erases nobody for whom a checkout was opened while the subscriptions were ended", async () => {
    const { userId, remove } = await customer();
    const listing = held.holdNext("listSubscriptions");
    const removing = remove();
    await listing.reached;
    const { sessionId } = await world.payment.subscribe(userId, { planId: "plan_basic_month" });
    listing.open();
    expect((await removing).code).toBe("CONFLICT");
    expect(await statusOf(sessionId)).toBe("open");
    expect((await remove()).status).toBe(200);
    expect(await statusOf(sessionId)).toBe("expired");
    expect(await open(userId)).toEqual([]);
  });

  it("opens nothing for who was erased while the order was on its way", async () => {
    const { userId, remove } = await customer();
    const listing = held.holdNext("listSubscriptions");
    const subscribing = world.payment.subscribe(userId, { planId: "plan_basic_month" });
    await listing.reached;
    expect((await remove()).status).toBe(200);
    listing.open();
    await expect(subscribing).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await open(userId)).toEqual([]);
  });

  it("ends and gives back a subscription that begins for who is erased", async () => {
    const { userId, remove } = await customer();
    const session = await merchant.post("checkout/sessions", {
      mode: "subscription",
      customer: await world.customerOf(userId),
      success_url: "http://localhost/s",
      "line_items[0][price]": await merchant.priceOf("plan_basic_month"),
      "line_items[0][quantity]": "1",
    });
    expect((await remove()).status).toBe(200);
    world.sandbox.stripe.control.completeCheckout(session.id);
    await world.settled();
    const rows = await world.models.subscription.findMany({ where: { userId } });
    expect(rows).toMatchObject([{ status: "canceled", liveKey: null }]);
    const { status } = await stripe.getSubscription(rows[0]?.stripeSubscriptionId ?? "");
    expect(status).toBe("canceled");
    const payments = await world.models.payment.findMany({
      where: { userId, paidAt: { not: null } },
    });
    expect(payments).toMatchObject([{ status: "REFUNDED", refundedAmount: 999 }]);
    expect(await world.credits(userId)).toBe(100);
  });

  it("gives back what a bank pays for who is erased by then", async () => {
    const { userId, remove } = await customer();
    const { sessionId } = await world.payment.checkout(userId, { packageId });
    world.sandbox.stripe.control.completeCheckout(sessionId, "delayed");
    await world.settled();
    expect((await remove()).status).toBe(200);
    world.sandbox.stripe.control.settleDelayedPayment(sessionId, true);
    await world.settled();
    const payment = await world.models.payment.findUniqueOrThrow({
      where: { stripeSessionId: sessionId },
    });
    expect(payment).toMatchObject({ status: "FAILED", paidAt: null });
    expect(await stripe.listRefunds(payment.stripePaymentId ?? "")).toMatchObject([
      { amount: payment.amount, orderKey: `erased:${sessionId}` },
    ]);
    const bought = { userId, source: "PURCHASE" };
    expect(await world.models.creditGrant.count({ where: bought })).toBe(0);
  });

  /** Creates a subscriber whose renewal is unpaid because the card failed. */
  async function pastDue() {
    const person = await customer();
    const customerId = await world.customerOf(person.userId);
    await world.subscribe(person.userId, "plan_basic_month");
    await world.settled();
    world.sandbox.stripe.control.setCard(customerId, "failing");
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    const [open] = await stripe.listInvoices({ customerId, limit: 1 });
    expect(open?.status).toBe("open");
    const invoiceId = open?.id ?? "";
    const granted = () =>
      world.models.creditGrant.count({
        where: { userId: person.userId, source: "SUBSCRIPTION" },
      });
    expect(await granted()).toBe(1);
    return {
      ...person,
      granted,
      async pay() {
        world.travel({ minutes: 1 });
        world.sandbox.stripe.control.setCard(customerId, "ok");
        expect(world.sandbox.stripe.control.payInvoice(invoiceId)).toBe(true);
        return world.sandbox.stripe.control.events("invoice.paid").at(-1) ?? { id: "" };
      },
      async expectGivenBack() {
        const payment = await world.models.payment.findUniqueOrThrow({
          where: { stripeInvoiceId: invoiceId },
        });
        const nothing = { status: "REFUNDED", refundedAmount: 999, creditsPurchased: 0 };
        expect(payment).toMatchObject(nothing);
        expect(await stripe.listRefunds(payment.stripePaymentId ?? "")).toMatchObject([
          { amount: 999, orderKey: `unwanted:${invoiceId}` },
        ]);
        expect(await granted()).toBe(1);
      },
    };
  }

  it("gives back an invoice that is paid for who is erased by then", async () => {
    const { remove, pay, expectGivenBack } = await pastDue();
    expect((await remove()).status).toBe(200);
    const paid = await pay();
    await world.settled();
    await expectGivenBack();
    // Processed once more, it still grants nothing.
    expect(await world.deliver(paid, 0, "evt_once_more")).toBe(200);
    await expectGivenBack();
  });

  it("gives back an invoice whose account is erased while it is looked at", async () => {
    const { userId, pay, expectGivenBack } = await pastDue();
    const { control } = world.sandbox.stripe;
    const row = await world.models.subscription.findFirstOrThrow({ where: { userId } });
    control.cancelSubscription(row.stripeSubscriptionId);
    await world.settled();
    control.misdeliver({ paused: true });
    const look = held.holdNext("listRefunds");
    const receiving = world.deliver(await pay());
    await look.reached;
    const deletedAt = new Date(world.clock.now());
    await world.models.user.update({ where: { id: userId }, data: { deletedAt } });
    look.open();
    expect(await receiving).toBe(200);
    control.wellBehaved();
    await world.settled();
    await expectGivenBack();
  });

  it("keeps what was paid for before its account was erased", async () => {
    const { userId, remove } = await customer();
    const sessionId = await world.buy(userId, packageId);
    await world.settled();
    expect((await remove()).status).toBe(200);
    const paid = world.sandbox.stripe.control.events("checkout.session.completed").at(-1);
    expect(await world.deliver(paid ?? { id: "" }, 0, "evt_after_erasure")).toBe(200);
    const payment = await world.models.payment.findUniqueOrThrow({
      where: { stripeSessionId: sessionId },
    });
    expect(payment).toMatchObject({ status: "SUCCESS" });
    expect(await stripe.listRefunds(payment.stripePaymentId ?? "")).toEqual([]);
  });

  it("gives nothing back of a subscription that was read before it ended with its account", async () => {
    const { userId, remove } = await customer();
    await world.subscribe(userId, "plan_basic_month");
    await world.settled();
    const { stripePaymentId } = await world.models.payment.findFirstOrThrow({
      where: { userId, paidAt: { not: null } },
    });
    const begun = world.sandbox.stripe.control.events("customer.subscription.created").at(-1);
    const answer = held.holdNext("getSubscription");
    const replaying = world.payment.replayEvent(begun?.id ?? "");
    await answer.reached;
    expect((await remove()).status).toBe(200);
    answer.open();
    expect(await replaying).toMatchObject({ status: "PROCESSED" });
    expect(await stripe.listRefunds(stripePaymentId ?? "")).toEqual([]);
    const rows = await world.models.subscription.findMany({ where: { userId } });
    expect(rows).toMatchObject([{ status: "canceled", liveKey: null }]);
  });
});
