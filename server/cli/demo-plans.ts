// Owns the second half of the demo: the life of a subscriber, refunds and disputes, signing out.
import { creditsOf, payOnHostedPage, refusal } from "./demo-credits.ts";
import { arrives, check, type Story } from "./demo-story.ts";
import type { DemoWorld, Person } from "./demo-world.ts";

const dollars = (cents: number) => `$${(cents / 100).toFixed(2)}`;

export async function planChapters(world: DemoWorld, story: Story, ada: Person): Promise<void> {
  const { control } = world.sandbox.stripe;
  const planId = async (tier: string) => {
    const { plans } = await ada.client.payment.plans.query();
    return plans.find((it) => it.tier === tier && it.interval === "month")?.id ?? "";
  };
  const status = async () =>
    (await ada.client.payment.subscription.query()).subscription?.status ?? "none";
  let credits = await creditsOf(ada);

  story.chapter("A plan");
  await story.step("Subscribing to BASIC brings its 500 credits", async (tell) => {
    const { checkoutUrl, sessionId } = await ada.client.payment.subscribe.mutate({
      planId: await planId("BASIC"),
    });
    const back = await payOnHostedPage(ada, checkoutUrl);
    check("the way back", sessionId, back.searchParams.get("session_id"));
    await arrives("her credits", credits + 500, () => creditsOf(ada));
    credits += 500;
    check("the status", "active", await status());
    tell(`${credits} credits`);
  });
  await story.step("A second subscription is refused", async () => {
    const no = await refusal(ada.client.payment.subscribe.mutate({ planId: await planId("TEAM") }));
    check("the code", "CONFLICT", no.code);
  });
  await story.step("A month later it renews: 500 more, once", async (tell) => {
    control.advance({ months: 1, hours: 2 });
    await arrives("her credits", credits + 500, () => creditsOf(ada));
    await control.idle();
    credits += 500;
    check("her credits", credits, await creditsOf(ada));
    tell(`the sandbox's clock is at ${control.now().toISOString().slice(0, 10)}`);
  });
  await story.step("The card fails: past due, and nothing is granted", async () => {
    const customer = control.events("customer.subscription.created").at(-1)?.data.object;
    control.setCard(textOf(customer, "customer"), "failing");
    control.advance({ months: 1, hours: 2 });
    await arrives("the status", "past_due", status);
    await control.idle();
    check("her credits", credits, await creditsOf(ada));
    control.setCard(textOf(customer, "customer"), "ok");
  });
  await story.step("The invoice is paid after all: active, 500 granted once", async () => {
    const { invoices } = await ada.client.payment.invoices.query();
    const open = invoices.find((it) => it.status === "open");
    check("the open invoice", 999, open?.amountDue);
    check("the payment", true, control.payInvoice(open?.id ?? ""));
    await arrives("the status", "active", status);
    await arrives("her credits", credits + 500, () => creditsOf(ada));
    credits += 500;
  });
  await story.step("Upgrading to PRO: what the preview says is what happens", async (tell) => {
    const target = await planId("PRO");
    const preview = await ada.client.payment.previewPlanChange.query({ planId: target });
    const changed = await ada.client.payment.changePlan.mutate({
      planId: target,
      previewToken: preview.previewToken,
    });
    check("the tier", "PRO", changed.subscription.tier);
    await arrives("her credits", credits + preview.creditsNow, () => creditsOf(ada));
    credits += preview.creditsNow;
    tell(`${dollars(preview.amountDue)} for ${preview.creditsNow} credits now`);
    const no = await refusal(
      ada.client.payment.changePlan.mutate({
        planId: await planId("TEAM"),
        previewToken: preview.previewToken,
      }),
    );
    check("a preview used for something else", "PREVIEW_STALE", no.code);
  });
  await story.step("Cancelling keeps it to the end; resuming takes that back", async () => {
    const cancelled = await ada.client.payment.cancelSubscription.mutate();
    check("ends", true, cancelled.subscription.cancelAtPeriodEnd);
    const resumed = await ada.client.payment.resumeSubscription.mutate();
    check("ends", false, resumed.subscription.cancelAtPeriodEnd);
  });
  await story.step("Cancelled again, it lapses, and no credit is lost", async () => {
    await ada.client.payment.cancelSubscription.mutate();
    control.advance({ months: 1, hours: 2 });
    await arrives("lapsed", true, async () => ["none", "canceled"].includes(await status()));
    await control.idle();
    check("her credits", credits, await creditsOf(ada));
  });

  await givingBack(world, story, ada);
}

/** A text field of a Stripe object whose type is not ours. */
function textOf(object: unknown, name: string): string {
  const value: unknown = Object.getOwnPropertyDescriptor(object ?? {}, name)?.value;
  return typeof value === "string" ? value : "";
}

async function givingBack(world: DemoWorld, story: Story, ada: Person): Promise<void> {
  const { control } = world.sandbox.stripe;
  let credits = await creditsOf(ada);
  story.chapter("Giving back");
  await story.step("Half of the package is refunded: half of its credits go", async (tell) => {
    const admin = await world.signIn("admin");
    const { payments } = await ada.client.payment.history.query({});
    const bought = payments.find((it) => it.creditsPurchased === 500 && it.amount === 2000);
    const refund = await admin.client.admin.refundPayment.mutate({
      paymentId: bought?.id ?? "",
      amount: 1000,
      idempotencyKey: "demo-refund",
      reason: "half of it was not needed",
    });
    check("the payment", "PARTIALLY_REFUNDED", refund.paymentStatus);
    await arrives("her credits", credits - 250, () => creditsOf(ada));
    credits -= 250;
    tell(`$10.00 of $20.00, 250 of 500 credits; ${credits} left`);
  });
  await story.step("A dispute takes the credits, a won one gives them back", async () => {
    const { packages } = await ada.client.payment.packages.query();
    const { checkoutUrl } = await ada.client.payment.checkout.mutate({
      packageId: packages.find((it) => it.credits === 100)?.id ?? "",
    });
    await payOnHostedPage(ada, checkoutUrl);
    await arrives("her credits", credits + 100, () => creditsOf(ada));
    const paid = control.events("payment_intent.succeeded").at(-1)?.data.object;
    const dispute = control.openDispute(textOf(paid, "id"));
    await arrives("her credits", credits, () => creditsOf(ada));
    control.closeDispute(dispute.id, "won");
    await arrives("her credits", credits + 100, () => creditsOf(ada));
  });

  story.chapter("Signing out");
  await story.step("Signing out everywhere ends every session at once", async (tell) => {
    const phone = await world.signIn("ada");
    const { revoked } = await ada.client.auth.logoutAll.mutate();
    check("sessions ended", 3, revoked);
    check("her phone", "SESSION_REVOKED", (await refusal(phone.client.auth.me.query())).code);
    check(
      "its cookie",
      "SESSION_REVOKED",
      (await refusal(phone.client.auth.refresh.mutate())).code,
    );
    tell(`${revoked} sessions ended; the next call and the next refresh: SESSION_REVOKED`);
  });
}
