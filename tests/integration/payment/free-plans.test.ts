// Plans that cost nothing: their credits come once per period, however often a subscriber switches back and forth.
import { beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

const FREE = { id: "plan_free_month", tier: "FREE", name: "Free", credits: 50, price: 0 };

describe("a free plan", () => {
  const world = useShop({ available, clock: createTestClock("frozen") });
  const merchant = merchantOf(world);

  beforeAll(async () => {
    await world.models.plan.create({ data: { ...FREE, interval: "month" } });
    await world.payment.syncCatalog();
  });
  // After the plan has been added.
  const on = useSubscribers(world);

  it("gives its credits once per period, and none again for leaving it or coming back", async () => {
    const userId = await on.subscriber("FREE", "month");
    expect(await on.granted(userId)).toBe(50);
    const { preview } = await on.upgrade(userId, on.plan("BASIC", "month").id);
    expect(preview).toMatchObject({ amountDue: 999, creditsNow: 500 });
    expect(await on.granted(userId)).toBe(550);
    // The merchant switches back and forth: the paid plan's unused credits are taken back, and price 0 grants none.
    const subscription = await on.stripeIdOf(userId);
    const free = await merchant.priceOf(FREE.id);
    const basic = await merchant.priceOf(on.plan("BASIC", "month").id);
    const credits: number[] = [];
    for (let rounds = 0; rounds < 3; rounds += 1) {
      await merchant.change(subscription, { price: free });
      credits.push(await world.credits(userId));
      await merchant.change(subscription, { price: basic });
      credits.push(await world.credits(userId));
    }
    expect(credits).toEqual([50, 550, 50, 550, 50, 550]);
    await merchant.change(subscription, { price: free });
    world.travel({ months: 1, minutes: 61 });
    await world.settled();
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });
});
