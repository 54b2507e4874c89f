// The demo's acts about plans: the whole lifecycle of a subscription, on Stripe's billing clock.
import type { Transcript } from "./transcript.ts";
import type { DemoWorld, Person } from "./world.ts";

/** A renewal's invoice is a draft for an hour before it is paid. */
const A_MONTH_LATER = { months: 1, hours: 2 };

/** Advances Stripe's billing clock by a month, and waits until the events have arrived. */
async function monthPasses(world: DemoWorld): Promise<void> {
  world.stripe.advance(A_MONTH_LATER);
  await world.delivered();
}

async function planOf({ client }: Person) {
  return (await client.payment.subscription.query()).subscription;
}

/** 6 credits become 506. */
export async function subscribing(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  ada: Person,
): Promise<void> {
  const { client } = ada;
  act("She subscribes to Basic: 500 credits a month for $9.99");
  const basic = { planId: "plan_basic_month" };
  const { checkoutUrl } = await client.payment.subscribe.mutate(basic);
  const page = await world.openPage(ada, checkoutUrl);
  await step(
    "agrees on the payment page",
    () => ada.browser.submit(page, /\/pay$/, { method: "ok" }),
    { url: { pathname: "/payment/success" } },
    "back on the return page",
  );
  await world.delivered();
  await step(
    "looks at her plan",
    () => planOf(ada),
    { planId: "plan_basic_month", status: "active", cancelAtPeriodEnd: false },
    "BASIC, active",
  );
  await step(
    "looks at her balance",
    () => client.credit.balance.query(),
    { credits: 506 },
    "6 + 500 = 506",
  );
  await refused(
    "subscribes once more, in another tab",
    () => client.payment.subscribe.mutate(basic),
    { code: "CONFLICT" },
    "refused: one plan at a time",
  );
  await step(
    "opens the billing portal",
    async () => world.openPage(ada, (await client.payment.portal.mutate()).url),
    { status: 200 },
    "cards and invoices, hosted by Stripe",
  );
}

/** 506 credits become 1506, by one ordinary renewal and one whose card is declined at first. */
export async function monthsGoBy(
  world: DemoWorld,
  { act, step }: Transcript,
  ada: Person,
): Promise<void> {
  const { client } = ada;
  const { stripe } = world;
  const credits = () => client.credit.balance.query();
  const plan = () => planOf(ada);
  act("Months go by");
  await monthPasses(world);
  await step("a month later the plan renews", credits, { credits: 1006 }, "506 + 500 = 1006");
  const { id: customerId } = world.newest("customer.created");
  stripe.setCard(customerId, "failing");
  await monthPasses(world);
  await step("next month her card is refused", plan, { status: "past_due" }, "past_due");
  await step("looks at her balance", credits, { credits: 1006 }, "unpaid months grant nothing");
  stripe.setCard(customerId, "ok");
  const { invoices } = await client.payment.invoices.query();
  const open = invoices.find(({ status }) => status === "open");
  await step(
    "puts in a new card; the open invoice is collected",
    () => stripe.payInvoice(open?.id ?? "none"),
    true,
    "$9.99",
  );
  await world.delivered();
  await step("looks at her plan", plan, { status: "active" }, "active again");
  await step("looks at her balance", credits, { credits: 1506 }, "1006 + 500, granted once");
}

/** Adds the upgrade's credits to the 1506. In the end there is no plan. */
export async function changingPlans(
  world: DemoWorld,
  transcript: Transcript,
  ada: Person,
): Promise<void> {
  transcript.act("She changes her mind a few times");
  await upgrading(world, transcript, ada);
  await waiting(transcript, ada);
  await cancelling(world, transcript, ada);
}

async function upgrading(
  world: DemoWorld,
  { step, refused }: Transcript,
  { client }: Person,
): Promise<void> {
  const pro = "plan_pro_month";
  const shown = await step(
    "asks what an upgrade to Pro would cost today",
    () =>
      client.payment.previewPlanChange
        .query({ planId: pro })
        .then((offer) => ({ ...offer, isPart: isPartOfTheDifference(offer) })),
    { currency: "usd", isPart: true },
    ({ amountDue, creditsNow }) => `$${amountDue / 100} now, for ${creditsNow} credits now`,
  );
  await refused(
    "agrees to that offer, but for Team",
    () =>
      client.payment.changePlan.mutate({
        planId: "plan_team_month",
        previewToken: shown.previewToken,
      }),
    { code: "PREVIEW_STALE" },
    "refused: a preview binds to what it showed",
  );
  await step(
    "agrees",
    () => client.payment.changePlan.mutate({ planId: pro, previewToken: shown.previewToken }),
    { subscription: { planId: pro, status: "active" } },
    "PRO, active",
  );
  await world.delivered();
  const upgraded = 1506 + shown.creditsNow;
  await step(
    "looks at her balance",
    () => client.credit.balance.query(),
    { credits: upgraded },
    `1506 + ${shown.creditsNow} = ${upgraded}`,
  );
  await step(
    "Stripe looks at what she paid for it",
    async () => (await client.payment.invoices.query()).invoices[0],
    { status: "paid", amountPaid: shown.amountDue },
    `$${shown.amountDue / 100}, as shown`,
  );
}

/** A change to a cheaper plan waits for the end of the paid period, and can be undone free of charge. */
async function waiting({ step }: Transcript, ada: Person): Promise<void> {
  const { client } = ada;
  const planId = "plan_basic_month";
  const offer = await step(
    "asks what going back to Basic would cost",
    () => client.payment.previewPlanChange.query({ planId }),
    { amountDue: 0, creditsNow: 0 },
    ({ effectiveAt }) => `nothing; it would begin on ${effectiveAt.slice(0, 10)}`,
  );
  await step(
    "agrees",
    () => client.payment.changePlan.mutate({ planId, previewToken: offer.previewToken }),
    {
      subscription: {
        planId: "plan_pro_month",
        pendingPlan: { planId, effectiveAt: offer.effectiveAt },
      },
    },
    "PRO for the month she paid for, BASIC waits",
  );
  await step(
    "undoes it, twice",
    async () => {
      await client.payment.cancelPlanChange.mutate();
      return client.payment.cancelPlanChange.mutate();
    },
    { subscription: { planId: "plan_pro_month", pendingPlan: null } },
    "PRO goes on; nothing paid, nothing lost",
  );
}

async function cancelling(world: DemoWorld, { step }: Transcript, ada: Person): Promise<void> {
  const { client } = ada;
  const { credits } = await client.credit.balance.query();
  await step(
    "cancels",
    () => client.payment.cancelSubscription.mutate(),
    { subscription: { status: "active", cancelAtPeriodEnd: true } },
    ({ subscription }) => `hers until ${subscription.currentPeriodEnd.slice(0, 10)}`,
  );
  await step(
    "takes it back",
    () => client.payment.resumeSubscription.mutate(),
    { subscription: { cancelAtPeriodEnd: false } },
    "goes on as before",
  );
  await client.payment.cancelSubscription.mutate();
  await monthPasses(world);
  await step("cancels for good; the month ends", () => planOf(ada), null, "no plan");
  await step(
    "looks at her balance",
    () => client.credit.balance.query(),
    { credits },
    "no renewal, nothing taken",
  );
}

/** Whether an offer from Basic to Pro, early in a month, is nearly all of $10 and of 1000 credits, and never more. */
function isPartOfTheDifference(offer: { amountDue: number; creditsNow: number }): boolean {
  const { amountDue, creditsNow } = offer;
  return amountDue > 950 && amountDue <= 1000 && creditsNow > 950 && creditsNow <= 1000;
}
