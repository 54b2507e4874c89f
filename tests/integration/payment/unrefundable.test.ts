// Money that buys nothing and cannot be refunded immediately: failed refunds are retried, three times at most.
import { describe, expect, it } from "vitest";
import type { StripePort } from "../../../server/payment/stripe/port.ts";
import { available } from "../../support/backend.ts";
import { useShop } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

describe("money that buys nothing", () => {
  let stripe: StripePort;
  const world = useShop({
    available,
    logLevel: "info",
    wrapStripe: (port) => {
      stripe = port;
      return port;
    },
  });

  /** Creates a user whom Stripe knows as a customer, and who can delete the account. */
  async function customer() {
    const person = await world.person();
    await world.payment.checkout(person.userId, { packageId: "pkg_small" });
    return {
      ...person,
      customerId: await world.customerOf(person.userId),
      async remove() {
        const { accessToken } = await world.signInAgain(person.userId);
        const confirmEmail = { confirmEmail: person.email };
        const headers = bearer(accessToken);
        expect((await world.call("user.delete", "mutation", confirmEmail, headers)).status).toBe(
          200,
        );
      },
    };
  }

  /** Creates a package whose delayed bank payment arrives after its account was deleted. */
  async function paidPackage() {
    const { userId, remove } = await customer();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_small" });
    world.sandbox.stripe.control.completeCheckout(sessionId, "delayed");
    await world.settled();
    await remove();
    world.sandbox.stripe.control.settleDelayedPayment(sessionId, true);
    await world.settled();
    return world.models.payment.findUniqueOrThrow({ where: { stripeSessionId: sessionId } });
  }

  /** Creates a renewal that is paid after its account was deleted. */
  async function paidInvoice() {
    const { userId, customerId, remove } = await customer();
    const { control } = world.sandbox.stripe;
    await world.subscribe(userId, "plan_basic_month");
    await world.settled();
    control.setCard(customerId, "failing");
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    const [open] = await stripe.listInvoices({ customerId, limit: 1 });
    await remove();
    world.travel({ minutes: 1 });
    control.setCard(customerId, "ok");
    expect(control.payInvoice(open?.id ?? "")).toBe(true);
    await world.settled();
    return world.models.payment.findUniqueOrThrow({ where: { stripeInvoiceId: open?.id ?? "" } });
  }

  const statusesOf = async ({ stripePaymentId }: { stripePaymentId: string | null }) =>
    (await stripe.listRefunds(stripePaymentId ?? "")).map(({ status }) => status).sort();
  const givenUp = ({ stripePaymentId }: { stripePaymentId: string | null }) =>
    world
      .logged()
      .filter(({ msg, paymentIntentId }) => {
        const isOfIt = paymentIntentId === stripePaymentId && stripePaymentId !== null;
        return isOfIt && String(msg).includes("by another way");
      })
      .map(({ level }) => level);

  it.each([
    ["a package", paidPackage, { status: "FAILED", paidAt: null }],
    ["an invoice", paidInvoice, { status: "REFUNDED", creditsPurchased: 0 }],
  ])("is given back once more after %s's refund failed", async (_what, pay, state) => {
    world.sandbox.stripe.control.nextRefunds("failing");
    const payment = await pay();
    expect(payment).toMatchObject(state);
    expect(await statusesOf(payment)).toEqual(["failed", "succeeded"]);
    expect(givenUp(payment)).toEqual([]);
  });

  it.each([
    ["a package", paidPackage],
    ["an invoice", paidInvoice],
  ])("is left to a person after three refunds of %s failed", async (_what, pay) => {
    world.sandbox.stripe.control.nextRefunds("failing", "failing", "failing");
    const payment = await pay();
    expect(await statusesOf(payment)).toEqual(["failed", "failed", "failed"]);
    expect(givenUp(payment).length).toBeGreaterThan(0);
    const granted = { sourceId: payment.id };
    expect(await world.models.creditGrant.count({ where: granted })).toBe(0);
  });

  it("is given back also where the database has lost the checkout of a deleted account", async () => {
    const { userId, remove } = await customer();
    const { sessionId } = await world.payment.checkout(userId, { packageId: "pkg_medium" });
    world.sandbox.stripe.control.completeCheckout(sessionId, "delayed");
    await world.settled();
    await remove();
    await world.models.checkout.deleteMany({ where: { userId } });
    await world.models.payment.deleteMany({ where: { userId } });
    world.sandbox.stripe.control.settleDelayedPayment(sessionId, true);
    await world.settled();
    const payment = await world.models.payment.findUniqueOrThrow({
      where: { stripeSessionId: sessionId },
    });
    expect(payment).toMatchObject({ userId, status: "FAILED", paidAt: null });
    expect(await stripe.listRefunds(payment.stripePaymentId ?? "")).toMatchObject([
      { amount: payment.amount, orderKey: `erased:${sessionId}` },
    ]);
    expect(await world.models.creditGrant.count({ where: { userId, source: "PURCHASE" } })).toBe(0);
  });
});
