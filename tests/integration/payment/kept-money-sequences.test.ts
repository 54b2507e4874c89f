// Credits follow the money through any sequence of what users, merchants, banks and time do to a plan.
import { expect, it } from "vitest";
import { isAppError } from "../../../server/lib/errors.ts";
import { auditWholeLedger } from "../../../server/ledger/audit/audit.ts";
import type {
  Invoice,
  Subscription,
} from "../../../server/sandbox/src/stripe/objects/types-billing.ts";
import { isApiError } from "../../../server/sandbox/src/stripe/api/wire.ts";
import { describeBackend } from "../../support/databases.ts";
import { invoiceWorth, moneyBackAtStripe, type OfferedPlan } from "../../support/kept-money.ts";
import { merchantOf } from "../../support/merchant.ts";
import { subscribersIn } from "../../support/subscribers.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { openShop } from "../../support/shop.ts";
import { createTestClock } from "../../support/test-clock.ts";

const SEQUENCES = process.env["FULL"] === "1" ? 60 : 6;
const STEPS = 14;
const PRORATIONS = ["always_invoice", "create_prorations", "none"] as const;
/** By how many cents proration lines may be off in total due to rounding. */
const CENTS = 0.05;

// One engine is enough: the statements are covered by the other suites.
const backend = describeBackend("SQLite", null, null);
const random = seededRandom("kept money");
const between = (least: number, most: number): number =>
  least + Math.floor(random.next() * (most - least + 1));
const pick = <T>(items: readonly T[]): T | undefined => items[between(0, items.length - 1)];

interface Account {
  readonly kept: number;
  readonly bought: number;
  /** By how many credits `bought` may be off due to rounding. */
  readonly slack: number;
  readonly isMonthly: boolean;
}

/** Opens what a sequence acts on: one user in a separate world. */
async function openSequence() {
  const startAt = pick([new Date("2027-01-31T09:30:00Z"), new Date("2028-02-10T23:59:00Z")]);
  const world = await openShop({
    available: backend,
    clock: createTestClock("frozen", startAt),
  });
  const on = await subscribersIn(world);
  const merchant = merchantOf(world);
  await world.payment.syncCatalog();
  const prices = await Promise.all(on.plans.map(({ id }) => merchant.priceOf(id)));
  const userId = await world.createUser();
  // isEven: whether each change so far was charged or refunded immediately, so that charges show if anyone pays twice.
  return { world, on, merchant, prices, userId, isEven: true };
}

type Sequence = Awaited<ReturnType<typeof openSequence>>;
type Step = (sequence: Sequence) => Promise<unknown>;

const liveId = async ({ world, userId }: Sequence): Promise<string> => {
  const row = await world.models.subscription.findFirst({ where: { liveKey: userId } });
  return row?.stripeSubscriptionId ?? "sub_none";
};

const somePayment = async ({ world, userId }: Sequence) => {
  const rows = await world.models.payment.findMany({
    where: { userId, paidAt: { not: null } },
    orderBy: { createdAt: "asc" },
  });
  return pick(rows);
};

const someCharge = async (sequence: Sequence): Promise<string> =>
  (await somePayment(sequence))?.stripePaymentId ?? "pi_none";

/** Switches on the billing portal's own page, with the settings that a merchant saves in the dashboard. */
async function switchInPortal(sequence: Sequence, change: Record<string, string>): Promise<void> {
  sequence.isEven = false;
  const { merchant, world, userId } = sequence;
  const customer = await world.customerOf(userId);
  const { url } = await merchant.post("billing_portal/sessions", { customer });
  const body = new URLSearchParams({ subscription: await liveId(sequence), ...change });
  const form = "price" in change ? "switch" : "quantity";
  await fetch(`${String(url)}/${form}`, { method: "POST", body, redirect: "manual" });
}

/** A change by the merchant, with any proration. */
async function moveBy(it: Sequence, to: { price?: string; quantity?: number }): Promise<void> {
  const proration = pick(PRORATIONS) ?? "none";
  if (proration !== "always_invoice") it.isEven = false;
  it.world.sandbox.stripe.control.moveSubscription(await liveId(it), { ...to, proration });
}

/** Lets time pass, including the hour in which renewals are drafts, and runs the job for the months of yearly plans. */
async function pass({ world }: Sequence, by: { months?: number; days?: number }): Promise<void> {
  world.travel({ ...by, minutes: 61 });
  await world.settled();
  await world.payment.grantMonthly();
}

const STEPS_OF: Readonly<Record<string, readonly [number, Step]>> = {
  changePlan: [4, ({ on, userId }) => on.upgrade(userId, pick(on.plans)?.id ?? "")],
  cancelPlanChange: [1, ({ world, userId }) => world.payment.cancelPlanChange(userId)],
  portalSwitch: [2, (it) => switchInPortal(it, { price: pick(it.prices) ?? "" })],
  portalQuantity: [1, (it) => switchInPortal(it, { quantity: String(between(1, 5)) })],
  move: [4, async (it) => moveBy(it, { price: pick(it.prices) ?? "" })],
  quantity: [3, async (it) => moveBy(it, { quantity: between(1, 5) })],
  cancel: [1, ({ world, userId }) => world.payment.cancelSubscription(userId)],
  resume: [1, ({ world, userId }) => world.payment.resumeSubscription(userId)],
  cancelAt: [
    1,
    async (it) =>
      it.world.sandbox.stripe.control.setCancelAt(
        await liveId(it),
        pick([null, new Date(it.world.clock.now() + between(1, 95) * 86_400_000)]) ?? null,
      ),
  ],
  cancelNow: [
    0.5,
    async (it) =>
      it.world.sandbox.stripe.control.cancelSubscriptionNow(await liveId(it), {
        prorate: random.next() < 0.7,
        invoiceNow: random.next() < 0.7,
      }),
  ],
  refundByUs: [
    2,
    async (it) => {
      const payment = await somePayment(it);
      return it.world.payment.refundPayment({
        paymentId: payment?.id ?? "none",
        amountMinorUnits: between(1, Math.max(1, payment?.amount ?? 1)),
        idempotencyKey: `refund-${random.next()}`,
        actorId: "admin",
      });
    },
  ],
  refund: [
    1,
    async (it) =>
      it.world.sandbox.stripe.control.refund(await someCharge(it), { amount: between(1, 999) }),
  ],
  dispute: [1, async (it) => it.world.sandbox.stripe.control.openDispute(await someCharge(it))],
  decideDispute: [
    1,
    async ({ merchant, world }) => {
      const { data } = await merchant.get("disputes");
      const dispute = pick(data as { id: string }[]);
      return world.sandbox.stripe.control.closeDispute(
        dispute?.id ?? "dp_none",
        pick(["won", "lost"] as const) ?? "won",
      );
    },
  ],
  creditNote: [
    3,
    async (it) => {
      const payment = await somePayment(it);
      const amount = between(1, Math.max(1, payment?.total ?? 1));
      const to = pick(["creditAmount", "refundAmount", "outOfBandAmount"] as const);
      return it.world.sandbox.stripe.control.issueCreditNote({
        invoice: payment?.stripeInvoiceId ?? "in_none",
        amount,
        [to ?? "creditAmount"]: amount,
      });
    },
  ],
  balance: [
    1,
    async ({ world, userId }) =>
      world.sandbox.stripe.control.adjustBalance(
        await world.customerOf(userId),
        between(-3_000, 1_000),
      ),
  ],
  card: [
    0.5,
    async ({ world, userId }) =>
      world.sandbox.stripe.control.setCard(
        await world.customerOf(userId),
        pick(["ok", "ok", "failing"] as const) ?? "ok",
      ),
  ],
  days: [2, (it) => pass(it, { days: between(1, 20) })],
  month: [2, (it) => pass(it, { months: 1 })],
  months: [0.5, (it) => pass(it, { months: between(2, 5) })],
};

/** Tries a step: one that makes no sense now is refused; any other error is a defect. */
async function attempt(step: Step, sequence: Sequence): Promise<string> {
  try {
    await step(sequence);
    return "done";
  } catch (error) {
    if (isAppError(error) && error.code !== "INTERNAL") return `refused: ${error.message}`;
    if (isApiError(error)) return `refused by Stripe: ${error.message}`;
    throw error;
  }
}

function someStep(): string {
  const all = Object.entries(STEPS_OF);
  let at = random.next() * all.reduce((sum, [, [weight]]) => sum + weight, 0);
  for (const [name, [weight]] of all) {
    at -= weight;
    if (at < 0) return name;
  }
  return "month";
}

async function listOf<T>(
  merchant: Sequence["merchant"],
  path: string,
  fields: Record<string, string> = {},
): Promise<T[]> {
  const { data, has_more: more } = await merchant.get(path, { limit: "100", ...fields });
  expect(more, `${path}: all of them on one page`).toBe(false);
  return data as T[];
}

const hasNotes = (invoice: Invoice): boolean =>
  invoice.pre_payment_credit_notes_amount + invoice.post_payment_credit_notes_amount > 0;

/** Calculates each subscription's account from Stripe's objects, and the credits kept from the ledger's entries. */
async function accountsOf({ world, on, merchant }: Sequence): Promise<Map<string, Account>> {
  const plans = new Map<string, OfferedPlan>(on.plans.map((plan) => [plan.id, plan]));
  const accounts = new Map<string, Account>();
  for (const row of await world.models.subscription.findMany()) {
    const invoices = await listOf<Invoice>(merchant, "invoices", {
      subscription: row.stripeSubscriptionId,
      status: "paid",
    });
    const payments = await world.models.payment.findMany({ where: { subscriptionId: row.id } });
    let bought = 0;
    let slack = 0;
    let isMonthly = true;
    for (const invoice of invoices) {
      const { stripePaymentId = null } =
        payments.find(({ stripeInvoiceId }) => stripeInvoiceId === invoice.id) ?? {};
      const of = { payment_intent: stripePaymentId ?? "" };
      const back = moneyBackAtStripe({
        refunds: stripePaymentId === null ? [] : await listOf(merchant, "refunds", of),
        disputes: stripePaymentId === null ? [] : await listOf(merchant, "disputes", of),
        notes: hasNotes(invoice)
          ? await listOf(merchant, "credit_notes", { invoice: invoice.id })
          : [],
      });
      const { stays, monthly } = invoiceWorth(invoice, plans, back);
      bought += stays;
      slack += back.refunded + back.credited + back.disputed > 0 ? 1 : 0;
      isMonthly &&= monthly === 0;
    }
    const { _sum } = await world.models.creditLog.aggregate({
      where: {
        sourceId: { in: [row.id, ...payments.map(({ id }) => id)] },
        type: { in: ["SUBSCRIPTION", "REFUND", "DISPUTE", "DISPUTE_REVERSAL"] },
      },
      _sum: { amount: true },
    });
    accounts.set(row.stripeSubscriptionId, {
      kept: _sum.amount ?? 0,
      bought,
      slack: Math.max(slack, isMonthly ? 2 * invoices.length : 0),
      isMonthly,
    });
  }
  return accounts;
}

/** Reports double charges: at no future time may invoices charge more than the dearest plan ever held. */
async function chargedTwice(
  { merchant, world, isEven }: Sequence,
  dearest: Map<string, number>,
): Promise<string[]> {
  const found: string[] = [];
  if (!isEven) return found;
  for (const row of await world.models.subscription.findMany()) {
    const id = row.stripeSubscriptionId;
    const { items, status } = (await merchant.get(
      `subscriptions/${id}`,
    )) as unknown as Subscription;
    if (status === "canceled") continue;
    const rate = items.data.reduce((sum, { price, quantity, ...item }) => {
      const seconds = item.current_period_end - item.current_period_start;
      return sum + (price.unit_amount * quantity) / seconds;
    }, 0);
    const most = Math.max(dearest.get(id) ?? 0, rate);
    dearest.set(id, most);
    const soon = Math.floor(world.clock.now() / 1000) + 60;
    let charged = 0;
    for (const invoice of await listOf<Invoice>(merchant, "invoices", { subscription: id }))
      for (const { amount, period } of invoice.status === "void" ? [] : invoice.lines.data)
        if (period.start <= soon && soon < period.end)
          charged += amount / (period.end - period.start);
    const month = 28 * 86_400;
    if (charged * month > most * month * 1.001 + CENTS * 100)
      found.push(
        `${id} is charged ${charged * month} a month, its dearest plan is ${most * month}`,
      );
  }
  return found;
}

async function play(number: number): Promise<void> {
  const sequence = await openSequence();
  const { world, on, userId } = sequence;
  const story: string[] = [];
  const dearest = new Map<string, number>();
  try {
    for (let step = 0; step < STEPS; step += 1) {
      const isSubscribed = (await on.state(userId)) !== null;
      const name = isSubscribed ? someStep() : "subscribe";
      const planId = pick(on.plans)?.id ?? "";
      const work: Step = STEPS_OF[name]?.[1] ?? (() => world.subscribe(userId, planId));
      story.push(`${name} ${isSubscribed ? "" : planId}: ${await attempt(work, sequence)}`);
      await world.settled();
      const told = `sequence ${number}:\n${story.join("\n")}`;
      const { database } = world.backend;
      expect(await auditWholeLedger({ database }), told).toEqual([]);
      for (const [id, { kept, bought, slack, isMonthly }] of await accountsOf(sequence)) {
        expect(kept, `${id} keeps more than its money buys; ${told}`).toBeLessThanOrEqual(
          bought + slack + 1e-6,
        );
        if (isMonthly)
          expect(kept, `${id} keeps less than its money buys; ${told}`).toBeGreaterThanOrEqual(
            bought - slack - 1e-6,
          );
      }
      expect(await chargedTwice(sequence, dearest), told).toEqual([]);
    }
  } finally {
    await world.close();
  }
}

it("keeps no more credits than the kept money buys, whatever happens to a plan", {
  timeout: SEQUENCES * 60_000,
}, async () => {
  for (let number = 1; number <= SEQUENCES; number += 1) await play(number);
});
