// The job that grants the months of yearly plans: what it requests from Stripe, and that it stops when asked to.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { useShop } from "../../support/use-app.ts";

describe("monthly grants", () => {
  const held = createHeldCalls();
  const world = useShop({ available, wrapStripe: held.wrap });
  const on = useSubscribers(world);

  it("stops granting when told to, and goes on the next time", async () => {
    const users = [await on.subscriber("BASIC", "year"), await on.subscriber("BASIC", "year")];
    world.travel({ months: 1 });
    await world.settled();
    const stop = new AbortController();
    const gate = held.holdNext("getInvoice");
    const running = world.payment.grantMonthly(stop.signal);
    await gate.reached;
    stop.abort();
    gate.open();
    await running;
    const granted = async () => Promise.all(users.map(on.granted));
    expect(await granted()).toEqual([1000, 500]);
    await world.payment.grantMonthly();
    expect(await granted()).toEqual([1000, 1000]);
  });

  it("asks for a year that is not paid once an hour, and grants it on recovery", async () => {
    const userId = await on.subscriber("BASIC", "year");
    world.travel({ months: 11 });
    await world.settled();
    await world.payment.grantMonthly();
    world.sandbox.stripe.control.setCard(await world.customerOf(userId), "failing");
    world.travel({ months: 1, minutes: 90 });
    await world.settled();
    await world.payment.grantMonthly();
    expect((await on.state(userId))?.status).toBe("past_due");
    const before = await on.granted(userId);
    const callsOfRun = async (minutes: number) => {
      world.travel({ minutes });
      await world.settled();
      const calls = held.seen.length;
      await world.payment.grantMonthly();
      return held.seen.length - calls;
    };
    expect([await callsOfRun(10), await callsOfRun(10), await callsOfRun(45)]).toEqual([0, 0, 1]);
    world.travel({ days: 1 });
    const open = (await world.payment.invoices(userId)).invoices.find(
      ({ status }) => status === "open",
    );
    world.sandbox.stripe.control.setCard(await world.customerOf(userId), "ok");
    expect(world.sandbox.stripe.control.payInvoice(open?.id ?? "")).toBe(true);
    await world.settled();
    expect(await on.granted(userId)).toBe(before + 500);
    world.travel({ months: 1 });
    await world.settled();
    await world.payment.grantMonthly();
    expect(await on.granted(userId)).toBe(before + 1000);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });
});
