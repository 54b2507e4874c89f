// If the server runs with the key of another account for a while, nothing paid is lost: neither packages nor periods.
import { afterEach, describe, expect, it } from "vitest";
import type { StripeEventNotice, StripePort } from "../../../server/payment/stripe/port.ts";
import { switchAccount } from "../../support/another-account.ts";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { useShop } from "../../support/use-app.ts";

describe("the key of another account", () => {
  const held = createHeldCalls();
  /** The events that the key's account lists if it is another one; null if it is ours. */
  let elsewhere: StripeEventNotice[] | null = null;
  /** An invoice that cannot be fetched. */
  let broken = "";
  const wrapStripe = (port: StripePort) => {
    const ours: StripePort = {
      ...port,
      getInvoice: (id) =>
        id === broken ? Promise.reject(new Error("malformed")) : port.getInvoice(id),
    };
    return held.wrap(switchAccount(ours, () => elsewhere));
  };
  const world = useShop({ available, webhooks: false, wrapStripe, config: { sandbox: false } });
  afterEach(() => {
    elsewhere = null;
    broken = "";
  });

  const stateOf = async (eventId: string) =>
    world.models.stripeEvent.findUniqueOrThrow({ where: { id: eventId } });
  const latest = (type: string) => world.sandbox.stripe.control.events(type).at(-1) ?? { id: "" };

  it("loses no package that was paid meanwhile, and no mark moves past it", async () => {
    const userId = await world.createUser();
    const sessionId = await world.buy(userId, "pkg_small");
    const paid = latest("checkout.session.completed");
    elsewhere = [];
    expect(await world.deliver(paid)).toBe(500);
    world.travel({ minutes: 5 });
    const first = await world.payment.reconcile();
    expect(first).toMatchObject({ caughtUp: false });
    expect(first.problems).toContainEqual(expect.stringContaining("that of another account?"));
    world.travel({ days: 5 });
    await world.payment.retryEvents();
    const paymentOf = () =>
      world.models.payment.findUniqueOrThrow({ where: { stripeSessionId: sessionId } });
    expect((await paymentOf()).status).toBe("FAILED");
    expect(await stateOf(paid.id)).toMatchObject({ status: "IGNORED" });
    for (let days = 0; days < 10; days += 5) {
      world.travel({ days: 5 });
      await world.payment.reconcile();
      await world.payment.retryEvents();
    }
    elsewhere = null;
    expect((await world.payment.reconcile()).problems).toEqual([]);
    world.travel({ days: 1 });
    await world.payment.retryEvents();
    expect(await paymentOf()).toMatchObject({ status: "SUCCESS", creditsPurchased: 100 });
    expect(await stateOf(paid.id)).toMatchObject({ status: "PROCESSED" });
    expect(await world.credits(userId)).toBe(100);
  });

  it("loses no package of which no event came either", async () => {
    const userId = await world.createUser();
    await world.buy(userId, "pkg_small");
    elsewhere = [];
    for (let days = 0; days < 20; days += 1) {
      world.travel({ days: 1 });
      await world.payment.reconcile();
    }
    elsewhere = null;
    world.travel({ days: 1 });
    await world.payment.retryEvents();
    expect(await world.credits(userId)).toBe(100);
  });

  it("is no reason to list ever more where nothing of ours has happened for long", async () => {
    await world.models.stripeEvent.deleteMany({});
    elsewhere = [];
    const markMs = async () =>
      (await world.models.rollUp.findUnique({ where: { name: "reconcile" } }))?.rolledTo.getTime();
    world.travel({ days: 5 });
    const startedMs = world.clock.now();
    expect(await world.payment.reconcile()).toMatchObject({ caughtUp: true });
    expect(await markMs()).toBeGreaterThanOrEqual(startedMs);
  });

  it("is told from ours by a checkout that is still open", async () => {
    const userId = await world.createUser();
    const paidBefore = await world.buy(userId, "pkg_small");
    await world.payment.confirm(userId, { sessionId: paidBefore });
    const { sessionId } = await world.payment.checkout(await world.createUser(), {
      packageId: "pkg_small",
    });
    world.travel({ minutes: 5 });
    expect(await world.payment.reconcile()).toMatchObject({ caughtUp: true, problems: [] });
    elsewhere = [];
    const { caughtUp, problems } = await world.payment.reconcile();
    expect(caughtUp).toBe(false);
    expect(problems).toContainEqual(expect.stringContaining("that of another account?"));
    const payment = await world.models.payment.findUniqueOrThrow({
      where: { stripeSessionId: sessionId },
    });
    expect(payment.status).toBe("PENDING");
  });

  it("keeps an invoice that always fails, moves on, and settles it once that is possible", async () => {
    const userId = await world.createUser();
    await world.subscribe(userId, "plan_basic_month");
    expect((await world.payment.reconcile()).problems).toEqual([]);
    world.travel({ months: 1, minutes: 90 });
    const paid = latest("invoice.paid") as unknown as {
      id: string;
      data: { object: { id: string } };
    };
    broken = paid.data.object.id;
    const report = await world.payment.reconcile();
    expect(report).toMatchObject({ caughtUp: true });
    expect(report.problems).toContainEqual(expect.stringContaining(`invoice ${broken}`));
    expect(await world.credits(userId)).toBe(500);
    // Independently of its own event, and however far reconcile's mark has moved.
    await world.models.stripeEvent.update({
      where: { id: paid.id },
      data: { status: "IGNORED", nextAttemptAt: null },
    });
    world.travel({ days: 8 });
    await world.payment.reconcile();
    world.travel({ days: 8 });
    broken = "";
    await world.payment.retryEvents();
    expect(await world.credits(userId)).toBe(1000);
    const { events } = await world.payment.listEvents({ limit: 50, status: "FAILED" });
    expect(events).toEqual([]);
  });

  it("asks ever more seldom for what Stripe lists and does not know", async () => {
    const note = {
      ...{
        id: "evt_forgotten",
        type: "credit_note.created",
        createdAt: new Date(world.clock.now()),
      },
      ...{ objectId: "cn_forgotten", objectType: "credit_note" },
      ...{ paymentIntentId: null, chargeId: null },
    };
    elsewhere = [note];
    let looks = 0;
    for (let hour = 0; hour < 48; hour += 1) {
      const before = held.seen.length;
      await world.payment.reconcile();
      await world.payment.retryEvents();
      looks += held.seen.slice(before).filter(({ call }) => call === "getCreditNote").length;
      world.travel({ minutes: 60 });
    }
    expect(looks).toBeGreaterThan(3);
    expect(looks).toBeLessThan(10);
  });
});
