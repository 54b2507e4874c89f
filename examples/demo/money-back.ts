// The demo's act about money that goes back: a refund, and a dispute that is won.
import type { Transcript } from "./transcript.ts";
import type { DemoWorld, Person } from "./world.ts";

/** A refund takes back its share of the credits and no more. Starts from any balance, and leaves 250 credits less. */
export async function refunding(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  ada: Person,
): Promise<void> {
  const { client } = ada;
  const credits = () => client.credit.balance.query();
  const before = (await credits()).credits;
  const { payments } = await client.payment.history.query();
  const medium = payments.find(
    ({ creditsPurchased, amount }) => creditsPurchased === 500 && amount === 2000,
  );
  const order = { paymentId: medium?.id ?? "", amount: 1000, idempotencyKey: "half-back" };

  act("Money goes back, and credits with it");
  const grace = await world.signIn(world.addressOf("grace"));
  await step(
    "Grace signs in; her address is in ADMIN_EMAILS",
    () => grace.client.auth.me.query(),
    { user: { role: "ADMIN" } },
    "she is an admin",
  );
  await refused(
    "Ada orders a refund herself",
    () => client.admin.refundPayment.mutate(order),
    { code: "FORBIDDEN" },
    "refused: FORBIDDEN",
  );
  const { refundId } = await step(
    "Grace refunds half of the Medium package",
    () => grace.client.admin.refundPayment.mutate(order),
    { status: "succeeded", paymentStatus: "PARTIALLY_REFUNDED", refundedAmount: 1000 },
    "$10 of $20, PARTIALLY_REFUNDED",
  );
  await step(
    "Grace presses the button again",
    () => grace.client.admin.refundPayment.mutate(order),
    { refundId, refundedAmount: 1000 },
    "the same refund",
  );
  await world.delivered();
  await step(
    "Ada looks at her balance",
    credits,
    { credits: before - 250 },
    `half the credits went: ${before} - 250 = ${before - 250}`,
  );
}

/**
 * A dispute takes back the credits of its payment, and returns them when it is won. Starts from any balance, and
 * leaves 100 credits more (the ones bought here).
 */
export async function disputing(
  world: DemoWorld,
  { step }: Transcript,
  ada: Person,
): Promise<void> {
  const { client } = ada;
  const credits = () => client.credit.balance.query();
  const before = (await credits()).credits;
  const small = await client.payment.checkout.mutate({ packageId: "pkg_small" });
  const page = await world.openPage(ada, small.checkoutUrl);
  await ada.browser.submit(page, /\/pay$/, { method: "ok" });
  await world.delivered();
  const { id: chargeId } = world.newest("charge.succeeded");
  await step("Ada buys Small", credits, { credits: before + 100 }, "100 more");
  const dispute = world.stripe.openDispute(chargeId);
  await world.delivered();
  await step(
    "her bank disputes that payment",
    credits,
    { credits: before },
    "its 100 credits are taken",
  );
  await step(
    "looks for it among her payments",
    async () => {
      const { payments: all } = await client.payment.history.query();
      return all.filter((payment) => payment.creditsPurchased === 100);
    },
    [{ amount: 500, status: "DISPUTED" }],
    "DISPUTED",
  );
  world.stripe.closeDispute(dispute.id, "won");
  await world.delivered();
  await step("the dispute is won", credits, { credits: before + 100 }, "they are given back");
  await step(
    "looks at her history",
    () => client.credit.history.query({ limit: 4 }),
    {
      logs: [
        { type: "DISPUTE_REVERSAL", amount: 100 },
        { type: "DISPUTE", amount: -100 },
        { type: "PURCHASE", amount: 100 },
        { type: "REFUND", amount: -250 },
      ],
    },
    "REFUND, PURCHASE, DISPUTE, DISPUTE_REVERSAL",
  );
}
