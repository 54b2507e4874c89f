// The demo's acts about packages: buying one, and running out of credits.
import type { Transcript } from "./transcript.ts";
import type { DemoWorld, Person } from "./world.ts";

/** 79 credits become 579, exactly once. */
export async function buying(world: DemoWorld, transcript: Transcript, ada: Person): Promise<void> {
  transcript.act("She buys the Medium package: 500 credits for $20");
  const sessionId = await paying(world, transcript, ada);
  await confirming(world, transcript, { ada, sessionId });
  await reckoning(transcript, ada);
}

/** Buys the package on the hosted page, double-clicking everywhere. Returns the id of the checkout session. */
async function paying(world: DemoWorld, { step }: Transcript, ada: Person): Promise<string> {
  const { client } = ada;
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
  return sessionId;
}

/** The webhook, the return page and a repeated event grant the same 500 credits only once. */
async function confirming(
  world: DemoWorld,
  { step, refused }: Transcript,
  { ada: { client }, sessionId }: { ada: Person; sessionId: string },
): Promise<void> {
  const credits = () => client.credit.balance.query();
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
}

async function reckoning({ step }: Transcript, { client }: Person): Promise<void> {
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

/** 566 credits become 6, however many calls arrive simultaneously. */
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
