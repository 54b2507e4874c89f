// The whole story over HTTP with the typed client, on every back end that answers here.
import { TRPCClientError } from "@trpc/client";
import { beforeAll, describe, expect, test } from "vitest";
import type { AppRouter } from "../../shared/src/router.ts";
import { available } from "../support/backend.ts";
import type { SignedIn } from "../support/server.ts";
import { useTestApp } from "../support/use-app.ts";

/** The `data.app` of what `work` is refused with. */
async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (error instanceof TRPCClientError)
      return (error as TRPCClientError<AppRouter>).data?.app ?? null;
    throw error;
  }
  throw new Error("It should have been refused.");
}

describe("the story", () => {
  const server = useTestApp({ available });
  let anna: SignedIn;
  beforeAll(async () => {
    anna = await server.signIn("anna@example.com");
  });

  test("a new person has 100 credits with their entry", async () => {
    expect(await anna.client.credit.balance.query()).toMatchObject({
      credits: 100,
      held: 0,
      available: 100,
    });
    const { logs, total } = await anna.client.credit.history.query({});
    expect(total).toBe(1);
    expect(logs).toMatchObject([{ seq: 1, amount: 100, balance: 100, type: "SIGNUP" }]);
  });

  test("signing in again gives no second bonus", async () => {
    const again = await server.signIn("anna@example.com");
    expect(again.userId).toBe(anna.userId);
    expect((await again.client.credit.balance.query()).credits).toBe(100);
  });

  test("each feature costs what costs says, and a repeated key costs once", async () => {
    const { features } = await anna.client.credit.costs.query();
    let expected = 100;
    for (const { feature, credits } of features) {
      const spent = await anna.client.credit.spend.mutate({
        feature,
        idempotencyKey: `story-${feature}`,
      });
      expected -= credits;
      expect(spent).toMatchObject({
        feature,
        charged: credits,
        balance: expected,
        replayed: false,
      });
    }
    const replay = await anna.client.credit.spend.mutate({
      feature: "chat-pro",
      idempotencyKey: "story-chat-pro",
    });
    expect(replay.replayed).toBe(true);
    expect((await anna.client.credit.balance.query()).credits).toBe(expected);
    expect(
      await refusal(
        anna.client.credit.spend.mutate({ feature: "ppt-edit", idempotencyKey: "story-chat-pro" }),
      ),
    ).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  test("a worker holds, settles and releases on her behalf", async () => {
    const worker = server.serviceClient();
    const { userId } = anna;
    const before = await anna.client.credit.balance.query();
    const hold = await worker.service.reserve.mutate({
      userId,
      amount: 10,
      idempotencyKey: "hold-1",
    });
    expect((await anna.client.credit.balance.query()).available).toBe(before.available - 10);
    const settled = await worker.service.settle.mutate({ holdId: hold.holdId, amount: 4 });
    expect(settled.charged).toBe(4);
    expect(await refusal(worker.service.release.mutate({ holdId: hold.holdId }))).toMatchObject({
      code: "HOLD_NOT_ACTIVE",
    });
    expect((await anna.client.credit.balance.query()).credits).toBe(before.credits - 4);
  });

  test("short of credits, the refusal says how much is missing and what to buy", async () => {
    const poor = await server.signIn("poor@example.com");
    for (let turn = 0; turn < 10; turn += 1)
      await poor.client.credit.spend.mutate({
        feature: "ppt-generate",
        idempotencyKey: `poor-${turn}`,
      });
    expect(
      await refusal(
        poor.client.credit.spend.mutate({ feature: "chat-pro", idempotencyKey: "poor-last" }),
      ),
    ).toMatchObject({
      code: "INSUFFICIENT_CREDITS",
      required: 5,
      available: 0,
      shortfall: 5,
      suggestedPackageId: "pkg_small",
    });
  });

  test("buying 500 grants them once, by webhook and by the return page", async () => {
    const before = (await anna.client.credit.balance.query()).credits;
    const { packages } = await anna.client.payment.packages.query();
    const medium = packages.find(({ credits }) => credits === 500);
    const { sessionId, checkoutUrl } = await anna.client.payment.checkout.mutate({
      packageId: medium?.id ?? "",
    });
    expect(checkoutUrl).toMatch(/^http/);
    expect(await anna.client.payment.confirm.mutate({ sessionId })).toMatchObject({
      status: "PENDING",
      creditsAdded: 0,
    });
    server.sandbox.stripe.control.completeCheckout(sessionId);
    const confirmed = await anna.client.payment.confirm.mutate({ sessionId });
    expect(confirmed).toMatchObject({ status: "SUCCESS", balance: before + 500 });
    await server.sandbox.stripe.control.idle();
    expect((await anna.client.credit.balance.query()).credits).toBe(before + 500);
    const { payments } = await anna.client.payment.history.query({});
    expect(payments).toMatchObject([{ amount: 2000, status: "SUCCESS", creditsPurchased: 500 }]);
    const other = await server.signIn("nosy@example.com");
    expect(await refusal(other.client.payment.confirm.mutate({ sessionId }))).toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test("a change arrives live", async () => {
    const seen: number[] = [];
    let stop = () => undefined as void;
    const change = new Promise<void>((resolve, reject) => {
      const subscription = anna.client.credit.onChange.subscribe(undefined, {
        onData: ({ credits }) => {
          seen.push(credits);
          if (seen.length === 2) resolve();
        },
        onError: reject,
      });
      stop = () => subscription.unsubscribe();
    });
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    await anna.client.credit.spend.mutate({ feature: "chat-flash", idempotencyKey: "live-1" });
    await change;
    stop();
    expect(seen[1]).toBe((seen[0] ?? 0) - 1);
  });

  test("subscribing brings the month's credits once; it can be cancelled and resumed", async () => {
    const bea = await server.signIn("bea@example.com");
    const { plans } = await bea.client.payment.plans.query();
    const basic = plans.find(({ tier, interval }) => tier === "BASIC" && interval === "month");
    const { sessionId } = await bea.client.payment.subscribe.mutate({ planId: basic?.id ?? "" });
    server.sandbox.stripe.control.completeCheckout(sessionId);
    await server.sandbox.stripe.control.idle();
    const balance = async () => (await bea.client.credit.balance.query()).credits;
    await expect.poll(balance).toBe(100 + (basic?.credits ?? 0));
    const { subscription } = await bea.client.payment.subscription.query();
    expect(subscription).toMatchObject({ status: "active", planId: basic?.id });
    expect(
      await refusal(bea.client.payment.subscribe.mutate({ planId: basic?.id ?? "" })),
    ).toMatchObject({ code: "CONFLICT" });
    const cancelled = await bea.client.payment.cancelSubscription.mutate();
    expect(cancelled.subscription.cancelAtPeriodEnd).toBe(true);
    const resumed = await bea.client.payment.resumeSubscription.mutate();
    expect(resumed.subscription.cancelAtPeriodEnd).toBe(false);
  });

  test("signing out ends the session at once", async () => {
    const session = await server.signIn("leaver@example.com");
    await session.client.auth.logout.mutate({ refreshToken: session.refreshToken });
    expect(await refusal(server.client(session.accessToken).auth.me.query())).toMatchObject({
      code: "SESSION_REVOKED",
    });
  });
});
