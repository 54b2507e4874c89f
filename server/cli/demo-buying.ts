// Owns the acts of the demo about packages: buying one, running short, money going back.
import type { Transcript } from "./demo-transcript.ts";
import type { DemoWorld, Person } from "./demo-world.ts";

/** 79 credits become 579, exactly once. */
export async function buying(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  ada: Person,
): Promise<void> {
  const { client } = ada;
  const credits = () => client.credit.balance.query();
  act("She buys the Medium package: 500 credits for $20");
  await step(
    "looks at the packages",
    () => client.payment.packages.query(),
    {
      packages: [
        { name: "Small", credits: 100, price: 500, currency: "usd" },
        { id: "pkg_medium", name: "Medium", credits: 500, price: 2000, currency: "usd" },
        { name: "Large", credits: 1500, price: 5000, currency: "usd" },
      ],
    },
    ({ packages }) => packages.map(({ name, price }) => `${name} $${price / 100}`).join(", "),
  );
  const checkout = () => client.payment.checkout.mutate({ packageId: "pkg_medium" });
  const { sessionId, checkoutUrl } = await checkout();
  await step("clicks Buy twice", checkout, { sessionId, checkoutUrl }, "one checkout");
  const page = await step(
    "comes to the payment page",
    () => world.openPage(ada, checkoutUrl),
    { status: 200 },
    "hosted by Stripe; we never see a card",
  );
  await step(
    "tries a card that is declined",
    () => ada.browser.submit(page, /\/pay$/, { method: "declined" }),
    { status: 402 },
    "nothing is paid",
  );
  await step(
    "goes to the return page all the same",
    () => client.payment.confirm.mutate({ sessionId }),
    { status: "PENDING", creditsAdded: 0, balance: 79 },
    "PENDING, still 79",
  );
  await step(
    "takes another card and presses Pay twice",
    () =>
      Promise.all([1, 2].map(() => ada.browser.submit(page, /\/pay$/, { method: "ok" }))).then(
        (pages) => pages.map(({ url }) => url.pathname),
      ),
    ["/payment/success", "/payment/success"],
    "both lead to the return page",
  );
  await step(
    "Stripe looks at its books",
    () => world.stripe.events("charge.succeeded").length,
    1,
    "one charge",
  );
  await world.delivered();
  await step("the webhook has arrived", credits, { credits: 579 }, "79 + 500 = 579");
  await step(
    "the return page confirms as well",
    () => client.payment.confirm.mutate({ sessionId }),
    { status: "SUCCESS", creditsAdded: 500, balance: 579 },
    "SUCCESS, still 579",
  );
  await world.stripe.resendEvent(world.stripe.events("checkout.session.completed")[0]?.id ?? "");
  await world.delivered();
  await step("Stripe sends the event a second time", credits, { credits: 579 }, "still 579");
  const mallory = await world.signIn(world.addressOf("mallory"));
  await refused(
    "Mallory confirms Ada's purchase as his own",
    () => mallory.client.payment.confirm.mutate({ sessionId }),
    { code: "NOT_FOUND" },
    "refused: he may not even know of it",
  );
  await step(
    "looks at her payments",
    () => client.payment.history.query(),
    { total: 1, payments: [{ amount: 2000, status: "SUCCESS", creditsPurchased: 500 }] },
    "one, $20, SUCCESS",
  );
  await step(
    "adds up her history",
    async () => {
      const { logs } = await client.credit.history.query();
      const running = logs.map(({ amount }, at) => amount + (logs[at + 1]?.balance ?? 0));
      return {
        sum: logs.reduce((sum, { amount }) => sum + amount, 0),
        numbers: logs.map(({ seq }) => seq),
        bought: logs.filter(({ type }) => type === "PURCHASE").length,
        isRunning: logs.every(({ balance }, at) => balance === running[at]),
      };
    },
    { sum: 579, numbers: [6, 5, 4, 3, 2, 1], bought: 1, isRunning: true },
    "6 entries without a gap, in all 579",
  );
}

/** 566 credits become 6, however many calls press in at once. */
export async function runningShort(
  { act, step, refused }: Transcript,
  { client }: Person,
): Promise<void> {
  act("She runs short");
  const slides = (key: string) =>
    client.credit.spend.mutate({ feature: "ppt-generate", idempotencyKey: key });
  await step(
    "has 60 slides made at the same moment, 10 credits each",
    async () => {
      const all = Array.from({ length: 60 }, (_, index) => slides(`rush-${index}`));
      const answers = await Promise.allSettled(all);
      return answers.filter(({ status }) => status === "fulfilled").length;
    },
    56,
    "56 are made, 4 are refused",
  );
  await step(
    "looks at her balance",
    () => client.credit.balance.query(),
    { credits: 6, available: 6 },
    "566 - 560 = 6, never below zero",
  );
  await refused(
    "tries once more",
    () => slides("rush-more"),
    {
      code: "INSUFFICIENT_CREDITS",
      required: 10,
      available: 6,
      shortfall: 4,
      suggestedPackageId: "pkg_small",
    },
    "refused: 4 credits short, Small would do",
  );
}

/** A refund and a dispute take their share and no more. Starts from any balance. */
export async function moneyBack(
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

  const small = await client.payment.checkout.mutate({ packageId: "pkg_small" });
  const page = await world.openPage(ada, small.checkoutUrl);
  await ada.browser.submit(page, /\/pay$/, { method: "ok" });
  await world.delivered();
  const { id: chargeId } = world.newest("charge.succeeded");
  await step("Ada buys Small", credits, { credits: before - 150 }, "100 more");
  const dispute = world.stripe.openDispute(chargeId);
  await world.delivered();
  await step(
    "her bank disputes that payment",
    credits,
    { credits: before - 250 },
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
  await step("the dispute is won", credits, { credits: before - 150 }, "they are given back");
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
