// The final state is the same regardless of the order, repetition and delay of events: purchase, subscription, upgrade,
// renewal, refunds (one fails), disputes (won and lost), cancellation.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { eachOf, seededRandom } from "../../support/seeded-random.ts";
import { retryWhileUnavailable, type Shop } from "../../support/shop.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

const USERS = process.env["FULL"] === "1" ? 300 : 8;
const TIMEOUT_MS = process.env["FULL"] === "1" ? 3_600_000 : 120_000;
type RecordedEvent = ReturnType<Shop["sandbox"]["stripe"]["control"]["events"]>[number];

interface Life {
  userId: string;
  customer: string;
  /** Events that have not been delivered to this user's server yet. */
  unheard: RecordedEvent[];
  heard: RecordedEvent[];
}

describe("convergence", () => {
  const world = useShop({
    available,
    instances: 2,
    webhooks: false,
    clock: createTestClock("frozen"),
  });
  const random = seededRandom(`convergence on ${available.name}`);

  /** Calls Stripe's API as its dashboard does: our server only learns of it through events. */
  async function api(path: string, form?: Record<string, string>) {
    const answer = await fetch(`${world.sandbox.stripe.url}/v1/${path}`, {
      method: form === undefined ? "GET" : "POST",
      headers: { Authorization: `Bearer ${world.sandbox.stripe.secretKey}` },
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
    });
    const body: unknown = await answer.json();
    expect(answer.status, JSON.stringify(body)).toBe(200);
    return body as { data: { id: string; items: { data: { id: string }[] } }[] };
  }

  async function paidIntents(customer: string): Promise<string[]> {
    const charges = (await api(`payment_intents?customer=${customer}&limit=100`)) as unknown as {
      data: { id: string; amount: number; created: number; status: string }[];
    };
    return charges.data
      .filter(({ status }) => status === "succeeded")
      .sort((a, b) => a.created - b.created || a.amount - b.amount)
      .map(({ id }) => id);
  }

  async function endState(userId: string) {
    const payments = await world.models.payment.findMany({ where: { userId } });
    const subscriptions = await world.models.subscription.findMany({ where: { userId } });
    return {
      credits: await world.credits(userId),
      payments: payments
        .map((one) =>
          [
            one.amount,
            one.status,
            one.creditsPurchased,
            one.refundedAmount,
            one.refundedCredits,
            one.disputedCredits,
          ].join(" "),
        )
        .sort(),
      subscriptions: subscriptions.map((one) => [
        one.planId,
        one.status,
        one.cancelAtPeriodEnd,
        one.liveKey === null,
        one.currentPeriodEnd.toISOString(),
      ]),
    };
  }

  it("ends in one state", { timeout: TIMEOUT_MS }, async () => {
    const { control } = world.sandbox.stripe;
    const { packages } = await world.payment.packages();
    const { plans } = await world.payment.plans();
    const basic = plans.find(({ tier, interval }) => tier === "BASIC" && interval === "month");
    const team = plans.find(({ tier, interval }) => tier === "TEAM" && interval === "month");
    await world.payment.syncCatalog();
    const teamPrice = await world.models.plan.findUniqueOrThrow({ where: { id: team?.id ?? "" } });

    const lives: Life[] = [];
    const sorted = new Set<string>();
    /** Assigns each new event to the life it belongs to. */
    const listen = () => {
      for (const event of control.events()) {
        if (sorted.has(event.id)) continue;
        sorted.add(event.id);
        const text = JSON.stringify(event.data.object);
        const mine = lives.find(({ customer }) => text.includes(customer));
        const byIntent =
          mine ?? lives.find((life) => intentsOf.get(life)?.some((id) => text.includes(id)));
        byIntent?.unheard.push(event);
      }
    };
    const intentsOf = new Map<Life, string[]>();
    /** Delivers to each server some of its pending events, in any order, and some of the earlier ones again. */
    const tell = async (share: number) => {
      for (const life of lives) intentsOf.set(life, await paidIntents(life.customer));
      listen();
      await eachOf(lives, 4, async (life, index) => {
        const now: RecordedEvent[] = [];
        const later: RecordedEvent[] = [];
        // The first life receives everything immediately and in order, the second nothing until the end.
        const mine = index === 0 ? 1 : index === 1 && share < 1 ? 0 : share;
        for (const event of life.unheard) (random.next() < mine ? now : later).push(event);
        life.unheard = later;
        life.heard.push(...now);
        const again = life.heard.filter(() => random.next() < 0.2);
        const order = index === 0 ? now : random.shuffle([...now, ...again]);
        for (const [n, event] of order.entries()) {
          const id = random.next() < 0.1 ? `${event.id}_${n}_${sorted.size}` : event.id;
          expect(await world.deliverUntilTaken(event, Math.floor(random.next() * 2), id)).toBe(200);
        }
      });
    };

    for (let n = 0; n < USERS; n += 1) {
      const userId = await world.createUser();
      await retryWhileUnavailable(() => world.buy(userId, packages[1]?.id ?? ""));
      lives.push({ userId, customer: await world.customerOf(userId), unheard: [], heard: [] });
      await retryWhileUnavailable(() => world.subscribe(userId, basic?.id ?? ""));
    }
    await tell(0.4);

    world.travel({ days: 10 });
    for (const { customer } of lives) {
      const [subscription] = (await api(`subscriptions?customer=${customer}`)).data;
      await api(`subscriptions/${subscription?.id}`, {
        "items[0][id]": subscription?.items.data[0]?.id ?? "",
        "items[0][price]": teamPrice.stripePriceId ?? "",
        proration_behavior: "always_invoice",
      });
    }
    await tell(0.4);

    world.travel({ days: 22 });
    world.travel({ minutes: 90 });
    await tell(0.4);

    // The package is partly refunded twice (one refund fails), and the first month is disputed.
    const pending: string[] = [];
    const disputes: string[] = [];
    for (const life of lives) {
      const intents = await paidIntents(life.customer);
      expect(intents).toHaveLength(4);
      const [month = "", bought = "", upgrade = ""] = intents;
      control.refund(bought, { amount: 700 });
      pending.push(control.refund(bought, { amount: 600, outcome: "pending" }).id);
      disputes.push(control.openDispute(month).id);
      control.closeDispute(control.openDispute(upgrade, { amount: 1_000 }).id, "lost");
    }
    await tell(0.4);
    for (const id of pending) control.settleRefund(id, false);
    for (const id of disputes) control.closeDispute(id, "won");
    for (const { customer } of lives) {
      const [subscription] = (await api(`subscriptions?customer=${customer}`)).data;
      control.cancelSubscription(subscription?.id ?? "");
    }
    await tell(1);

    const [expected, ...others] = await Promise.all(lives.map(({ userId }) => endState(userId)));
    expect(expected?.payments).toHaveLength(4);
    expect(expected?.credits).toBeGreaterThan(5_000);
    expect(expected?.subscriptions.map((one) => one.slice(0, 4))).toEqual([
      [team?.id, "canceled", false, true],
    ]);
    for (const other of others) expect(other).toEqual(expected);
    for (const { userId } of lives)
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });
});
