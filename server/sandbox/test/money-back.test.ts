// Refunds and disputes on the Stripe stand-in behave as at Stripe.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { useWorld } from "./support.ts";

const world = useWorld();
const { stripe } = world;

describe("money back", () => {
  async function buy(): Promise<{ intent: string; customer: string }> {
    const customer = await stripe.customers.create({ email: "refund@example.com" });
    const session = await stripe.checkout.sessions.create({
      mode: "payment",
      customer: customer.id,
      success_url: "http://localhost:3000/",
      line_items: [
        {
          quantity: 2,
          price_data: { currency: "usd", unit_amount: 500, product_data: { name: "Credits" } },
        },
      ],
    });
    return {
      intent: String(world.sandbox.control.completeCheckout(session.id).payment_intent),
      customer: customer.id,
    };
  }

  it("comes in parts up to the whole, never more", async () => {
    const { intent } = await buy();
    const first = await stripe.refunds.create({
      payment_intent: intent,
      amount: 300,
      reason: "requested_by_customer",
      metadata: { paymentId: "p1" },
    });
    expect(first).toMatchObject({
      status: "succeeded",
      amount: 300,
      reason: "requested_by_customer",
      payment_intent: intent,
    });
    await expect(
      stripe.refunds.create({ payment_intent: intent, amount: 701 }),
    ).rejects.toMatchObject({ code: "amount_too_large" });
    await stripe.refunds.create({ payment_intent: intent });
    await expect(stripe.refunds.create({ payment_intent: intent })).rejects.toMatchObject({
      code: "charge_already_refunded",
    });
    const read = await stripe.paymentIntents.retrieve(intent, {
      expand: ["latest_charge.refunds"],
    });
    const charge = read.latest_charge as Stripe.Charge;
    expect(charge).toMatchObject({ refunded: true, amount_refunded: 1000 });
    expect(charge.refunds?.data.map((it) => it.amount)).toEqual([700, 300]);
    await world.sandbox.control.idle();
    const refunded = world.receiver.received.filter((it) => it.type === "charge.refunded");
    expect(refunded.map((it) => it.data.object.amount_refunded)).toEqual([300, 1000]);
    expect(refunded[0]?.data.previous_attributes).toEqual({ amount_refunded: 0 });
  });

  it("can be pending and then fail, which gives the charge its amount back", async () => {
    const { intent } = await buy();
    world.sandbox.control.nextRefunds("pending");
    const refund = await stripe.refunds.create({ payment_intent: intent });
    expect(refund.status).toBe("pending");
    world.sandbox.control.settleRefund(refund.id, false);
    expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({
      status: "failed",
      failure_reason: "expired_or_canceled_card",
    });
    const [charge] = (await stripe.charges.list({ payment_intent: intent })).data;
    expect(charge).toMatchObject({ refunded: false, amount_refunded: 0 });
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toEqual(
      expect.arrayContaining(["refund.created", "refund.updated", "refund.failed"]),
    );
  });

  it.each(["won", "lost"] as const)(
    "is taken by a dispute and, when %s, announced so",
    async (outcome) => {
      const { intent } = await buy();
      const dispute = world.sandbox.control.openDispute(intent);
      expect((await stripe.disputes.list({ payment_intent: intent })).data[0]).toMatchObject({
        id: dispute.id,
        status: "needs_response",
        amount: 1000,
      });
      await expect(stripe.refunds.create({ payment_intent: intent })).rejects.toMatchObject({
        code: "charge_disputed",
      });
      world.sandbox.control.closeDispute(dispute.id, outcome);
      expect((await stripe.disputes.retrieve(dispute.id)).status).toBe(outcome);
      await world.sandbox.control.idle();
      const types = world.receiver.types().filter((type) => type.startsWith("charge.dispute"));
      expect(types).toEqual([
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        ...(outcome === "won" ? ["charge.dispute.funds_reinstated"] : []),
        "charge.dispute.closed",
      ]);
    },
  );
});
