// Refunds and disputes take exactly their share of the credits, and return exactly what comes back.
import { beforeEach, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { useShop } from "../../support/use-app.ts";
import { spend } from "../../support/operations.ts";

describe("money back", () => {
  /** A second payment intent for an invoice. */
  let alsoPaidBy = { invoiceId: "", paymentIntentId: "" };
  const world = useShop({
    available,
    wrapStripe: (port) => ({
      ...port,
      async listInvoicePayments(id) {
        const paid = await port.listInvoicePayments(id);
        const { invoiceId, paymentIntentId } = alsoPaidBy;
        return id === invoiceId ? [...paid, { paymentIntentId, amountPaid: null }] : paid;
      },
      findCheckoutByPaymentIntent: async (id) =>
        id === alsoPaidBy.paymentIntentId ? null : port.findCheckoutByPaymentIntent(id),
      findInvoiceByPaymentIntent: async (id) =>
        id === alsoPaidBy.paymentIntentId
          ? alsoPaidBy.invoiceId
          : port.findInvoiceByPaymentIntent(id),
    }),
  });
  const { get, post } = merchantOf(world);
  const on = useSubscribers(world);
  let userId: string;
  let paymentId: string;
  let intent: string;

  beforeEach(async () => {
    userId = await world.createUser();
    const { packages } = await world.payment.packages();
    await world.buy(userId, packages.find(({ credits }) => credits === 100)?.id ?? "");
    await world.settled();
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
    paymentId = payment.id;
    intent = payment.stripePaymentId ?? "";
  });

  const seen = async () => {
    await world.settled();
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
    const { payments } = await world.payment.history(userId, { limit: 10 });
    return {
      credits: await world.credits(userId),
      status: payments[0]?.status,
      refunded: payments[0]?.refundedAmount,
    };
  };
  const refund = (idempotencyKey: string, amountMinorUnits?: number) =>
    world.payment.refundPayment({ paymentId, amountMinorUnits, idempotencyKey, actorId: "admin" });
  const use = (amountCredits: number) =>
    world.ledger.submit(
      spend(userId, `spend-${amountCredits}`, amountCredits, { feature: "chat-pro" }),
    );

  it("takes shares of partial refunds that add up without rounding twice", async () => {
    expect(await refund("a", 166)).toMatchObject({ paymentStatus: "PARTIALLY_REFUNDED" });
    expect(await seen()).toMatchObject({ credits: 67, refunded: 166 });
    world.sandbox.stripe.control.refund(intent, { amount: 167 });
    expect(await seen()).toMatchObject({ credits: 34, status: "PARTIALLY_REFUNDED" });
    expect(await refund("b")).toMatchObject({ paymentStatus: "REFUNDED", refundedAmount: 500 });
    expect(await seen()).toEqual({ credits: 0, status: "REFUNDED", refunded: 500 });
  });

  it("orders a refund once per key", async () => {
    const [one, two] = await Promise.all([refund("same", 100), refund("same", 100)]);
    expect(one.refundId).toBe(two.refundId);
    world.travel({ days: 3 });
    expect((await refund("same", 100)).refundId).toBe(one.refundId);
    for (const other of [200, undefined])
      await expect(refund("same", other)).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    await expect(refund("more", 401)).rejects.toMatchObject({ code: "VALIDATION_FAILED" });
    expect(await seen()).toEqual({ credits: 80, status: "PARTIALLY_REFUNDED", refunded: 100 });
    await refund("rest");
    await expect(refund("again")).rejects.toMatchObject({ code: "CONFLICT" });
    const whole = await refund("rest");
    expect(whole.paymentStatus).toBe("REFUNDED");
    await expect(refund("rest", 400)).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  it("answers an order of before refunds said what was ordered by its amount", async () => {
    const metadata = { orderKey: `${paymentId}:old` };
    const { id } = world.sandbox.stripe.control.refund(intent, { amount: 100, metadata });
    for (const same of [100, undefined]) expect((await refund("old", same)).refundId).toBe(id);
    await expect(refund("old", 200)).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  it("refuses to refund what was not paid", async () => {
    const { packages } = await world.payment.packages();
    await world.payment.checkout(userId, { packageId: packages[1]?.id ?? "" });
    const open = await world.models.payment.findFirstOrThrow({
      where: { userId, status: "PENDING" },
    });
    await expect(
      world.payment.refundPayment({ paymentId: open.id, idempotencyKey: "x", actorId: "a" }),
    ).rejects.toMatchObject({ code: "CONFLICT" });
    await expect(
      world.payment.refundPayment({ paymentId: "none", idempotencyKey: "x", actorId: "a" }),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("goes into debt when the credits are spent, and the next purchase pays it", async () => {
    await use(90);
    await refund("all");
    expect(await seen()).toMatchObject({ credits: -90, status: "REFUNDED" });
    const { packages } = await world.payment.packages();
    await world.buy(userId, packages.find(({ credits }) => credits === 500)?.id ?? "");
    await world.settled();
    expect(await world.credits(userId)).toBe(410);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("gives the credits back when a refund fails, each time", async () => {
    for (const round of [1, 2, 3]) {
      const made = world.sandbox.stripe.control.refund(intent, { amount: 250, outcome: "pending" });
      expect(await seen(), `round ${round}`).toMatchObject({ credits: 50, refunded: 250 });
      world.sandbox.stripe.control.settleRefund(made.id, false);
      expect(await seen()).toEqual({ credits: 100, status: "SUCCESS", refunded: 0 });
    }
    const types = (await world.models.creditLog.findMany({ where: { userId } })).map(
      ({ type }) => type,
    );
    expect(types.filter((type) => type === "PURCHASE")).toHaveLength(1);
  });

  it("takes the share when a dispute opens, returns it when won, keeps it when lost", async () => {
    const first = world.sandbox.stripe.control.openDispute(intent);
    expect(await seen()).toMatchObject({ credits: 0, status: "DISPUTED" });
    world.sandbox.stripe.control.closeDispute(first.id, "won");
    expect(await seen()).toMatchObject({ credits: 100, status: "SUCCESS" });
    const types = (await world.models.creditLog.findMany({ where: { userId } })).map(
      ({ type }) => type,
    );
    expect(types).toEqual(["PURCHASE", "DISPUTE", "DISPUTE_REVERSAL"]);
  });

  it("keeps a lost dispute's credits, and takes nothing for an inquiry", async () => {
    const inquiry = world.sandbox.stripe.control.openDispute(intent, { inquiry: true });
    expect(await seen()).toMatchObject({ credits: 100, status: "SUCCESS" });
    world.sandbox.stripe.control.closeDispute(inquiry.id, "won");
    expect(await seen()).toMatchObject({ credits: 100, status: "SUCCESS" });
    const { packages } = await world.payment.packages();
    const other = await world.createUser();
    await world.buy(other, packages[0]?.id ?? "");
    await world.settled();
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId: other } });
    const dispute = world.sandbox.stripe.control.openDispute(payment.stripePaymentId ?? "", {
      amount: 250,
    });
    world.sandbox.stripe.control.closeDispute(dispute.id, "lost");
    await world.settled();
    expect(await world.credits(other)).toBe(50);
    expect(await brokenInvariants(world.models, other)).toEqual([]);
  });

  it("takes its share of a plan's invoice too, and of the months that follow a partial one", async () => {
    const subscriber = await world.createUser();
    const { plans } = await world.payment.plans();
    const yearly = plans.find(({ tier, interval }) => tier === "BASIC" && interval === "year");
    await world.subscribe(subscriber, yearly?.id ?? "");
    await world.settled();
    const payment = await world.models.payment.findFirstOrThrow({ where: { userId: subscriber } });
    await world.payment.refundPayment({
      paymentId: payment.id,
      amountMinorUnits: 999,
      idempotencyKey: "tenth",
      actorId: "admin",
    });
    await world.settled();
    expect(await world.credits(subscriber)).toBe(450);
    world.travel({ months: 1 });
    expect(await world.payment.grantMonthly()).toBe(1);
    expect(await world.credits(subscriber)).toBe(900);
    await world.payment.refundPayment({
      paymentId: payment.id,
      idempotencyKey: "rest",
      actorId: "admin",
    });
    await world.settled();
    expect(await world.credits(subscriber)).toBe(0);
    world.travel({ months: 1 });
    await world.payment.grantMonthly();
    expect(await world.credits(subscriber)).toBe(0);
    expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
  });

  it("owes the months of an upgrade that was disputed before any of its credits came", async () => {
    const subscriber = await world.createUser();
    const { plans } = await world.payment.plans();
    const basic = (interval: string) =>
      plans.find((plan) => plan.tier === "BASIC" && plan.interval === interval)?.id ?? "";
    await world.subscribe(subscriber, basic("month"));
    await world.settled();
    const planId = basic("year");
    const { previewToken } = await world.payment.previewPlanChange(subscriber, { planId });
    await world.payment.changePlan(subscriber, { planId, previewToken });
    await world.settled();
    // The first month is the one bought before; the year's own credits begin with its second month.
    const year = await world.models.payment.findFirstOrThrow({
      where: { userId: subscriber, creditsPurchased: 0 },
    });
    const dispute = world.sandbox.stripe.control.openDispute(year.stripePaymentId ?? "");
    await world.settled();
    world.travel({ months: 1 });
    await world.payment.grantMonthly();
    const { credits } = await world.models.user.findUniqueOrThrow({ where: { id: subscriber } });
    expect(credits).toBe(500);
    world.sandbox.stripe.control.closeDispute(dispute.id, "won");
    await world.settled();
    expect(await world.credits(subscriber)).toBe(1_000);
    expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
  });

  /** Lets months pass, each with a run of the job, and expires what has ended. */
  async function live(months: number, ...userIds: string[]) {
    for (let month = 0; month < months; month += 1) {
      world.travel({ months: 1 });
      await world.settled();
      await world.payment.grantMonthly();
    }
    return Promise.all(userIds.map(expire));
  }
  async function expire(subscriber: string) {
    await world.ledger.submit({ kind: "expireLots", userId: subscriber });
    expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
    return world.credits(subscriber);
  }
  const intentOf = async (subscriber: string) =>
    (await world.models.payment.findFirstOrThrow({ where: { userId: subscriber } }))
      .stripePaymentId ?? "";

  it("gives back what can still be spent when the refund of a year fails months later", async () => {
    const subscriber = await on.subscriber("BASIC", "year");
    expect(await live(7, subscriber)).toEqual([1_000]);
    const made = world.sandbox.stripe.control.refund(await intentOf(subscriber), {
      amount: 4_995,
      outcome: "pending",
    });
    await world.settled();
    expect(await expire(subscriber)).toBe(-1_000);
    world.sandbox.stripe.control.settleRefund(made.id, false);
    await world.settled();
    expect(await expire(subscriber)).toBe(1_000);
  });

  it("gives back what can still be spent when a dispute is won after the plan's credits are over", async () => {
    const [disputed, twin] = [
      await on.subscriber("BASIC", "month"),
      await on.subscriber("BASIC", "month"),
    ];
    for (const subscriber of [disputed, twin]) {
      await world.ledger.submit(spend(subscriber, "all", 500, { feature: "chat-pro" }));
      await world.buy(subscriber, "pkg_medium");
      await world.settled();
    }
    const payment = await world.models.payment.findFirstOrThrow({
      where: { userId: disputed, stripeInvoiceId: { not: null } },
    });
    const dispute = world.sandbox.stripe.control.openDispute(payment.stripePaymentId ?? "");
    await world.settled();
    expect(await world.credits(disputed)).toBe(0);
    const [held, whole] = await live(3, disputed, twin);
    expect(held).toBe((whole ?? 0) - 500);
    world.sandbox.stripe.control.closeDispute(dispute.id, "won");
    await world.settled();
    expect(await expire(disputed)).toBe(whole);
  });

  it("grants the months that a dispute held back when it is won, each with a month to be spent in", async () => {
    const subscriber = await on.subscriber("BASIC", "year");
    const dispute = world.sandbox.stripe.control.openDispute(await intentOf(subscriber));
    await world.settled();
    expect(await live(3, subscriber)).toEqual([0]);
    world.sandbox.stripe.control.closeDispute(dispute.id, "won");
    await world.settled();
    expect(await on.granted(subscriber)).toBe(2_000);
    expect(await expire(subscriber)).toBe(2_000);
  });

  it("takes the share of a payment whose session is not known", async () => {
    await world.models.payment.update({
      where: { id: paymentId },
      data: { stripeSessionId: null },
    });
    world.sandbox.stripe.control.refund(intent, { amount: 250 });
    expect(await seen()).toEqual({ credits: 50, status: "PARTIALLY_REFUNDED", refunded: 250 });
  });

  it("settles an invoice by its refund's event alone, with the credit note that is on it", async () => {
    const subscriber = await world.createUser();
    world.sandbox.stripe.control.setWebhookUrl(null);
    try {
      await world.subscribe(subscriber, on.plan("BASIC", "month").id);
      const { data } = await get("invoices", { customer: await world.customerOf(subscriber) });
      const invoice = (data as { id: string }[])[0]?.id ?? "";
      await post("credit_notes", { invoice, amount: "333", credit_amount: "333" });
      const paid = (await get("invoice_payments", { invoice })).data as {
        payment: { payment_intent: string };
      }[];
      world.sandbox.stripe.control.refund(paid[0]?.payment.payment_intent ?? "", { amount: 333 });
      const created = world.sandbox.stripe.control.events("refund.created").at(-1);
      expect(await world.deliver(created ?? { id: "" })).toBe(200);
    } finally {
      world.sandbox.stripe.control.setWebhookUrl(`${world.url}/api/payment/webhook`);
    }
    expect(await world.credits(subscriber)).toBe(167);
    expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
  });

  it("counts what went back of each payment intent that paid an invoice", async () => {
    const subscriber = await on.subscriber("BASIC", "year");
    const first = await intentOf(subscriber);
    const { stripeInvoiceId } = await world.models.payment.findFirstOrThrow({
      where: { userId: subscriber },
    });
    // The sandbox pays with one intent only, so that of another purchase serves as the second.
    alsoPaidBy = { invoiceId: stripeInvoiceId ?? "", paymentIntentId: intent };
    await world.models.payment.update({
      where: { id: paymentId },
      data: { stripePaymentId: null },
    });
    for (const [paid, credits] of [
      [first, 475],
      [intent, 450],
    ] as const) {
      world.sandbox.stripe.control.refund(paid, { amount: 500 });
      await world.settled();
      expect(await world.credits(subscriber)).toBe(credits);
    }
    world.travel({ months: 1 });
    await world.payment.grantMonthly();
    expect(await world.credits(subscriber)).toBe(900);
    expect(await brokenInvariants(world.models, subscriber)).toEqual([]);
  });
});
