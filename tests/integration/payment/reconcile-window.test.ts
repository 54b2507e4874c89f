// How far back reconcile looks: to where the last complete run got, whatever has been received since.
import { afterEach, describe, expect, it } from "vitest";
import { paymentJobs } from "../../../server/jobs/jobs.ts";
import { JobFailure } from "../../../server/jobs/runner.ts";
import type {
  StripeEventNotice,
  StripeInvoice,
  StripePort,
} from "../../../server/payment/stripe/port.ts";
import { switchAccount } from "../../support/another-account.ts";
import { available } from "../../support/backend.ts";
import { createHeldCalls } from "../../support/held-calls.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useShop } from "../../support/use-app.ts";

const DAY_MS = 86_400_000;
const LISTS = ["listEvents", "listInvoices"] as const;

/** Creates paid invoices that belong to no subscription. */
const others = (count: number): StripeInvoice[] =>
  Array.from({ length: count }, (_, n) => ({
    ...{ id: `in_other${n}`, customerId: null, subscriptionId: null, paymentIntentId: null },
    ...{ status: "paid", billingReason: "manual", number: null, currency: "usd", lines: [] },
    ...{ amountDue: 1, amountPaid: 1, total: 1, creditNotesAmount: 0, hostedInvoiceUrl: null },
    ...{ createdAt: new Date(), paidAt: new Date(), prorationDate: null },
  }));

describe("reconcile's window", () => {
  const held = createHeldCalls();
  let failing: (typeof LISTS)[number] | "getSubscription" | "listDisputes" | null = null;
  /** Invoices that Stripe lists before the existing ones. */
  let listedFirst: StripeInvoice[] = [];
  /** The events that the key's account lists if it is another one; null if it is ours. */
  let elsewhere: StripeEventNotice[] | null = null;
  let stripe: StripePort;
  const failable = (port: StripePort): StripePort => ({
    ...port,
    listEvents: (filter) =>
      failing === "listEvents" ? Promise.reject(new Error("away")) : port.listEvents(filter),
    async listInvoices(filter) {
      if (failing === "listInvoices") throw new Error("away");
      const start = listedFirst.findIndex(({ id }) => id === filter.after) + 1;
      if (start === 0 && filter.after !== undefined) return port.listInvoices(filter);
      const page = listedFirst.slice(start, start + filter.limit);
      if (page.length === filter.limit) return page;
      const rest = { ...filter, after: undefined, limit: filter.limit - page.length };
      return [...page, ...(await port.listInvoices(rest))];
    },
    getSubscription: (id) =>
      failing === "getSubscription" ? Promise.reject(new Error("away")) : port.getSubscription(id),
    listDisputes: (paymentIntentId) =>
      failing === "listDisputes"
        ? Promise.reject(new Error("not permitted"))
        : port.listDisputes(paymentIntentId),
  });
  const wrapStripe = (port: StripePort) => {
    stripe = port;
    return held.wrap(switchAccount(failable(port), () => elsewhere));
  };
  // As in production: nothing is closed merely because Stripe does not know it.
  const world = useShop({ available, webhooks: false, wrapStripe, config: { sandbox: false } });
  const merchant = merchantOf(world);
  afterEach(() => {
    failing = null;
    listedFirst = [];
    elsewhere = null;
  });

  /** Creates an up-to-date subscriber with a renewal ten days ago that was never reported. */
  const missRenewal = async () => {
    const subscriber = await world.createUser();
    await world.subscribe(subscriber, "plan_basic_month");
    expect((await world.payment.reconcile()).problems).toEqual([]);
    world.travel({ months: 1, minutes: 90 });
    world.travel({ days: 8 });
    return subscriber;
  };

  /** Delivers the first webhook after an outage, before any job has run. */
  const deliverNewEvent = async () => {
    await world.buy(await world.createUser(), "pkg_small");
    const newest = world.sandbox.stripe.control.events().at(-1);
    expect(await world.deliverUntilTaken(newest ?? { id: "" })).toBe(200);
  };

  /** Returns the time from which each list was requested while `work` ran. */
  const askedSince = async (work: () => Promise<unknown>) => {
    const before = held.seen.length;
    await work();
    const lists = held.seen.slice(before).filter(({ call }) => LISTS.some((list) => list === call));
    return lists.map(({ about }) => (about as { createdSince: Date }).createdSince.getTime());
  };

  it("reaches back over an outage though a new event came first", async () => {
    const subscriber = await missRenewal();
    await deliverNewEvent();
    // A run for a single day has not caught up with the days before.
    await world.payment.reconcile({ since: new Date(world.clock.now() - DAY_MS) });
    expect(await world.credits(subscriber)).toBe(500);
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await world.credits(subscriber)).toBe(1000);
    const since = await askedSince(() => world.payment.reconcile());
    expect(since).toHaveLength(2);
    for (const ms of since) expect(ms).toBeGreaterThan(world.clock.now() - 3.1 * DAY_MS);
  });

  it.each(LISTS)("stays where it was after a run that was stopped amid %s", async (call) => {
    const subscriber = await missRenewal();
    const stop = new AbortController();
    const gate = held.holdNext(call);
    const stopped = world.payment.reconcile({ signal: stop.signal });
    await gate.reached;
    stop.abort();
    gate.open();
    await stopped;
    await deliverNewEvent();
    const since = await askedSince(() => world.payment.reconcile());
    expect(since).toHaveLength(2);
    for (const ms of since) expect(ms).toBeLessThan(world.clock.now() - 10 * DAY_MS);
    expect(await world.credits(subscriber)).toBe(1000);
  });

  it.each(LISTS)("stays where it was after a run in which %s failed", async (call) => {
    const subscriber = await missRenewal();
    failing = call;
    expect((await world.payment.reconcile()).problems).toHaveLength(1);
    failing = null;
    await deliverNewEvent();
    const since = await askedSince(() => world.payment.reconcile());
    for (const ms of since) expect(ms).toBeLessThan(world.clock.now() - 10 * DAY_MS);
    expect(await world.credits(subscriber)).toBe(1000);
  });

  it("fails its job where it gets nowhere, and not where a single subscription is adrift", async () => {
    const subscriber = await missRenewal();
    const runJob = () => {
      const job = paymentJobs(world.payment).find(({ name }) => name === "reconcile");
      return job?.run(new AbortController().signal);
    };
    failing = "listInvoices";
    const failure = await runJob()?.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(JobFailure);
    expect(failure).toMatchObject({ result: { caughtUp: false, problems: [expect.any(String)] } });
    failing = null;
    expect(await runJob()).toMatchObject({ caughtUp: true, problems: [] });
    expect(await world.credits(subscriber)).toBe(1000);
    failing = "getSubscription";
    const report = await runJob();
    expect(report).toMatchObject({ caughtUp: true });
    expect(report?.["problems"]).not.toEqual([]);
  });

  it("moves on behind any number of paid invoices, which are listed page by page", async () => {
    const subscriber = await missRenewal();
    listedFirst = others(10_000);
    expect((await world.payment.reconcile()).problems).toEqual([]);
    listedFirst = [];
    for (const ms of await askedSince(() => world.payment.reconcile()))
      expect(ms).toBeGreaterThan(world.clock.now() - 3.1 * DAY_MS);
    const customerId = await world.customerOf(subscriber);
    const all = await stripe.listInvoices({ customerId, limit: 10 });
    expect(all).toHaveLength(2);
    const after = all[0]?.id;
    expect(await stripe.listInvoices({ customerId, after, limit: 10 })).toEqual(all.slice(1));
  });

  it("gives up no event that failed for longer than it reaches back", async () => {
    const userId = await world.createUser();
    const sessionId = await world.buy(userId, "pkg_small");
    expect((await world.payment.reconcile()).problems).toEqual([]);
    const session = world.sandbox.stripe.control.completeCheckout(sessionId);
    world.sandbox.stripe.control.refund(session.payment_intent ?? "");
    failing = "listDisputes";
    for (let turn = 0; turn < 12; turn += 1) {
      world.travel({ minutes: 8 * 60 });
      await world.payment.retryEvents();
      await world.payment.reconcile();
    }
    failing = null;
    world.travel({ minutes: 8 * 60 });
    expect(await world.credits(userId)).toBe(100);
    await world.payment.retryEvents();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await world.credits(userId)).toBe(0);
  });

  it("leaves an event to a person that failed for a month", async () => {
    const userId = await world.createUser();
    const sessionId = await world.buy(userId, "pkg_small");
    expect((await world.payment.reconcile()).problems).toEqual([]);
    const session = world.sandbox.stripe.control.completeCheckout(sessionId);
    world.sandbox.stripe.control.refund(session.payment_intent ?? "");
    failing = "listDisputes";
    await world.payment.reconcile();
    const open = { status: "FAILED", nextAttemptAt: { not: null } };
    expect(await world.models.stripeEvent.count({ where: open })).toBeGreaterThan(0);
    world.travel({ days: 31 });
    await world.payment.retryEvents();
    failing = null;
    expect(await world.models.stripeEvent.count({ where: open })).toBe(0);
    const { events } = await world.payment.listEvents({ limit: 1, status: "FAILED" });
    expect(events).toMatchObject([{ attempts: 3 }]);
    expect((await world.payment.replayEvent(events[0]?.id ?? "")).status).toBe("PROCESSED");
    expect(await world.credits(userId)).toBe(0);
  });

  it("stays where it was while the key is that of another account", async () => {
    const subscriber = await missRenewal();
    elsewhere = [];
    const { problems } = await world.payment.reconcile();
    expect(problems).toContainEqual(expect.stringContaining("the key that of another account"));
    elsewhere = null;
    await deliverNewEvent();
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await world.credits(subscriber)).toBe(1000);
  });

  it("moves on though Stripe does not know one of the subscriptions", async () => {
    const subscriber = await missRenewal();
    const other = await world.createUser();
    await world.subscribe(other, "plan_basic_month");
    await world.payment.reconcile();
    const row = await world.models.subscription.findFirstOrThrow({ where: { userId: other } });
    const moveTo = (stripeSubscriptionId: string) =>
      world.models.subscription.update({ where: { id: row.id }, data: { stripeSubscriptionId } });
    await moveTo("sub_of_another_account");
    world.travel({ days: 8 });
    const { problems } = await world.payment.reconcile();
    expect(problems).toEqual([expect.stringContaining("sub_of_another_account")]);
    for (const ms of await askedSince(() => world.payment.reconcile()))
      expect(ms).toBeGreaterThan(world.clock.now() - 3.1 * DAY_MS);
    await moveTo(row.stripeSubscriptionId);
    expect((await world.payment.reconcile()).problems).toEqual([]);
    expect(await world.credits(subscriber)).toBe(1000);
  });

  it("tries an event whose object Stripe did not know again, and then it is one like any other", async () => {
    const subscriber = await world.createUser();
    await world.subscribe(subscriber, "plan_basic_month");
    expect((await world.payment.reconcile()).problems).toEqual([]);
    const { stripeInvoiceId } = await world.models.payment.findFirstOrThrow({
      where: { userId: subscriber, paidAt: { not: null } },
    });
    const half = { amount: "500", credit_amount: "500" };
    await merchant.post("credit_notes", { invoice: stripeInvoiceId ?? "", ...half });
    const noted = world.sandbox.stripe.control.events("credit_note.created").at(-1);
    const statusOf = async () =>
      (await world.models.stripeEvent.findUniqueOrThrow({ where: { id: noted?.id ?? "" } })).status;
    elsewhere = [];
    expect(await world.deliver(noted ?? { id: "" })).toBe(200);
    expect(await statusOf()).toBe("IGNORED");
    elsewhere = null;
    // From then on it is an event like any other, which may also fail.
    failing = "listDisputes";
    world.travel({ minutes: 10 });
    await world.payment.retryEvents();
    expect(await statusOf()).toBe("FAILED");
    failing = null;
    expect((await world.payment.reconcile()).eventsRecovered).toBeGreaterThan(0);
    expect(await statusOf()).toBe("PROCESSED");
    expect(await world.credits(subscriber)).toBe(250);
    expect((await world.payment.reconcile()).eventsRecovered).toBe(0);
  });

  it("does not count again what Stripe lists and does not know", async () => {
    const userId = await world.createUser();
    await world.subscribe(userId, "plan_basic_month");
    const begun = world.sandbox.stripe.control.events("customer.subscription.created").at(-1);
    const { id = "", type = "", data } = begun ?? {};
    const about = {
      objectId: (data?.object as { id?: string } | undefined)?.id ?? "",
      objectType: "subscription",
    };
    const createdAt = new Date(world.clock.now());
    elsewhere = [{ id, type, createdAt, ...about, paymentIntentId: null, chargeId: null }];
    expect(await world.deliver({ ...begun, id })).toBe(200);
    expect(await world.payment.reconcile()).toMatchObject({ eventsSeen: 1, eventsRecovered: 0 });
  });

  it("is as wide as can be after a run by a clock far ahead", async () => {
    const subscriber = await missRenewal();
    await world.models.rollUp.update({
      where: { name: "reconcile" },
      data: { rolledTo: new Date(world.clock.now() + 365 * DAY_MS) },
    });
    await deliverNewEvent();
    await world.payment.reconcile();
    expect(await world.credits(subscriber)).toBe(1000);
  });
});
