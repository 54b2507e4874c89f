// The credits to expect: an independent account of every payment and subscription, made from Stripe's tables alone.
import type { CheckoutSession } from "../../server/sandbox/src/stripe/objects/types.ts";
import type {
  Invoice,
  Subscription,
} from "../../server/sandbox/src/stripe/objects/types-billing.ts";
import {
  invoiceWorth,
  type MoneyBackAtStripe,
  moneyBackAtStripe,
  type OfferedPlan,
} from "../support/kept-money.ts";
import type { World } from "./world.ts";

type Worth = ReturnType<typeof invoiceWorth>;

interface PaymentRow {
  id: string;
  userId: string;
  stripeSessionId: string | null;
  stripePaymentId: string | null;
  stripeInvoiceId: string | null;
  amount: number;
  status: string;
  creditsPurchased: number;
  refundedAmount: number;
  creditedAmount: number;
}

const KEY_LIFE_SECONDS = 86_400;
const GIVEN = "('PURCHASE', 'SUBSCRIPTION', 'REFUND', 'DISPUTE', 'DISPUTE_REVERSAL')";

/** Sentences of what does not add up. `monthsGranted`: the job has been at the months of yearly plans. */
export function checkCredits(world: World, { monthsGranted = true } = {}): string[] {
  const { store, stripe, scheduler } = world;
  const { tables } = stripe;
  const wrong: string[] = [];
  const check = (fine: boolean, sentence: string): void => {
    if (!fine) wrong.push(sentence);
  };
  const payments = store.rows<PaymentRow>("SELECT * FROM payments");
  const checkouts = new Map(
    store
      .rows<{ id: string; offerId: string; userId: string }>("SELECT * FROM checkouts")
      .map((row) => [row.id, row]),
  );
  const offers = new Map(
    store
      .rows<OfferedPlan>(
        `SELECT id, credits, NULL AS interval FROM credit_packages
         UNION ALL SELECT id, credits, interval FROM plans`,
      )
      .map((row) => [row.id, row]),
  );
  const settled = new Set<string>();

  /** What went back of a payment, as Stripe has it. */
  function backOf(intent: string | null, invoiceId?: string): MoneyBackAtStripe {
    const of = <T>(table: Map<string, T>, fits: (row: T) => boolean): T[] =>
      [...table.values()].filter(fits);
    return moneyBackAtStripe({
      refunds: of(tables.refunds, (it) => it.payment_intent === intent),
      disputes: of(tables.disputes, (it) => it.payment_intent === intent),
      notes: of(tables.creditNotes, (it) => it.invoice === invoiceId),
    });
  }

  /** A paid payment: its state, and the credits that are left of it after all that went back. */
  function paid(
    row: PaymentRow,
    amount: number,
    back: MoneyBackAtStripe,
    total: number = amount,
  ): void {
    settled.add(row.id);
    const { refunded, credited, disputed } = back;
    const given = refunded + credited;
    // A customer balance may have paid a part: shares are of the whole.
    const whole = Math.max(total, amount);
    const state = disputed > 0 ? "DISPUTED" : given >= whole ? "REFUNDED" : "PARTIALLY_REFUNDED";
    const status = whole <= 0 || given + disputed === 0 ? "SUCCESS" : state;
    const gone = given + disputed;
    const share =
      gone >= whole ? row.creditsPurchased : Math.floor((row.creditsPurchased * gone) / whole);
    const left = row.creditsPurchased - (gone === 0 ? 0 : share);
    const sum = givenBy(world, [row.id]);
    check(row.amount === amount, `payment ${row.id} is of ${row.amount}, Stripe took ${amount}`);
    check(
      row.refundedAmount === refunded && row.creditedAmount === credited,
      `payment ${row.id}: ${row.refundedAmount} refunded and ${row.creditedAmount} credited, Stripe says ${refunded} and ${credited}`,
    );
    check(row.status === status, `payment ${row.id} is ${row.status} instead of ${status}`);
    check(sum === left, `payment ${row.id}: ${sum} credits are left, ${left} should be`);
  }

  const ordered = new Map<string, string>();
  for (const session of tables.sessions.values()) {
    const reference = session.client_reference_id ?? "";
    check(!ordered.has(reference), `checkout ${reference} has two sessions at Stripe`);
    ordered.set(reference, session.id);
    if (session.mode !== "payment") {
      const invoice = tables.invoices.get(session.invoice ?? "");
      const made = payments.find(({ stripeInvoiceId }) => stripeInvoiceId === invoice?.id);
      check(
        invoice?.status !== "paid" || made?.id === reference,
        `invoice ${invoice?.id} was paid by checkout ${reference} and settled as ${made?.id}`,
      );
      continue;
    }
    const row = payments.find(({ id }) => id === reference);
    if (session.status === "complete" && session.payment_status === "paid") {
      const offer = offers.get(checkouts.get(reference)?.offerId ?? "");
      check(
        row?.creditsPurchased === offer?.credits,
        `session ${session.id} is paid and gave ${row?.creditsPurchased} of ${offer?.credits}`,
      );
      if (row !== undefined) paid(row, session.amount_total, backOf(session.payment_intent));
    } else if (session.status !== "open" && row !== undefined && !isInProgress(session))
      check(row.status === "FAILED", `session ${session.id} is over, its payment ${row.status}`);
  }

  /** A delayed payment that is neither paid nor refused. */
  function isInProgress(session: CheckoutSession): boolean {
    return tables.paymentIntents.get(session.payment_intent ?? "")?.status === "processing";
  }

  const kept = keptBySubscription(world);
  for (const invoice of tables.invoices.values()) {
    if (invoice.status !== "paid") continue;
    const row = payments.find(({ stripeInvoiceId }) => stripeInvoiceId === invoice.id);
    if (row === undefined) {
      wrong.push(`invoice ${invoice.id} is paid and has no payment`);
      continue;
    }
    const intent =
      [...tables.invoicePayments.values()].find((it) => it.invoice === invoice.id)?.payment
        .payment_intent ?? null;
    const back = backOf(intent, invoice.id);
    const buys = invoiceWorth(invoice, offers, back);
    const { least, most } = dueOf(invoice, buys, scheduler.nowMs, goesOn(invoice, back));
    kept.add(invoice, row, back, buys);
    check(
      row.creditsPurchased >= least && row.creditsPurchased <= most,
      `invoice ${invoice.id} gave ${row.creditsPurchased} credits, not ${least} to ${most}`,
    );
    paid(row, invoice.amount_paid, back, invoice.total);
  }
  wrong.push(...kept.wrong());
  for (const row of payments)
    check(
      settled.has(row.id) || row.status === "PENDING" || row.status === "FAILED",
      `payment ${row.id} is ${row.status} and Stripe knows of none`,
    );

  /** Whether the later months of a yearly invoice come. */
  function goesOn(invoice: Invoice, back: MoneyBackAtStripe): boolean {
    const id = invoice.parent.subscription_details.subscription;
    const subscription = tables.subscriptions.get(id);
    return (
      monthsGranted &&
      subscription?.status === "active" &&
      subscription.items.data[0]?.price.recurring?.interval === "year" &&
      back.refunded + back.credited + back.disputed < Math.max(invoice.total, invoice.amount_paid)
    );
  }

  wrong.push(...subscriptions(world), ...customers(world));
  return wrong;
}

/** Credits the ledger gave and did not take back, for these sources. */
function givenBy({ store }: World, sourceIds: readonly string[]): number {
  const [sum] = store.rows<{ credits: number | null }>(
    `SELECT SUM(amount) AS credits FROM credit_logs
     WHERE sourceId IN (${sourceIds.map(() => "?").join()}) AND type IN ${GIVEN}`,
    ...sourceIds,
  );
  return sum?.credits ?? 0;
}

/** The sum over all invoices of each subscription: what it keeps is at most what the money that stayed buys. */
function keptBySubscription(world: World) {
  const sums = new Map<
    string,
    { bought: number; slack: number; isMonthly: boolean; sources: string[] }
  >();
  return {
    add: (invoice: Invoice, row: PaymentRow, back: MoneyBackAtStripe, buys: Worth): void => {
      const id = invoice.parent.subscription_details.subscription;
      const sum = sums.get(id) ?? { bought: 0, slack: 0, isMonthly: true, sources: [] };
      sums.set(id, sum);
      sum.bought += buys.stays;
      // A share taken is rounded for the customer; what is given, for the house.
      sum.slack += back.refunded + back.credited + back.disputed > 0 ? 1 : 0;
      sum.isMonthly &&= buys.monthly === 0;
      sum.sources.push(row.id);
    },
    wrong: (): string[] =>
      [...sums].flatMap(([stripeId, { bought, slack, isMonthly, sources }]) => {
        const [row] = world.store.rows<{ id: string }>(
          "SELECT id FROM subscriptions WHERE stripeSubscriptionId = ?",
          stripeId,
        );
        const keeps = givenBy(world, [...sources, row?.id ?? ""]);
        const words = `subscription ${stripeId} keeps ${keeps} credits, its money buys ${bought}`;
        const isMore = keeps > bought + slack + 1e-6;
        // Months of a year come later; everything else is there.
        const isLess = isMonthly && keeps < bought - 2 * sources.length - 1e-6;
        return isMore || isLess ? [words] : [];
      }),
  };
}

/** The credits an invoice gives, so far. */
function dueOf(
  invoice: Invoice,
  { whole, sold, monthly }: Worth,
  nowMs: number,
  goesOn: boolean,
): { least: number; most: number } {
  if (monthly === 0) return { least: whole, most: whole };
  const [line] = invoice.lines.data;
  // Made of several plans: only the whole of it is plain. A year given back may first have sold something, and its
  // months count from an anchor that moved since: the sum over the subscription's invoices tells.
  if (invoice.lines.data.length > 1 || line === undefined || line.amount <= 0)
    return { least: 0, most: whole > 0 ? whole : sold + monthly };
  const due = monthly * monthsBegun(line.period.start * 1000, nowMs);
  return { least: goesOn ? Math.min(whole, due) : monthly, most: Math.min(whole, due) };
}

/** Months that have begun since `fromMs`, the first included; the 31st is the last day of shorter months. */
function monthsBegun(fromMs: number, nowMs: number): number {
  const from = new Date(fromMs);
  for (let months = 1; ; months += 1) {
    const first = Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1);
    const lastDay = new Date(
      Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months + 1, 0),
    ).getUTCDate();
    const day = Math.min(from.getUTCDate(), lastDay) - 1;
    if (first + day * 86_400_000 + (fromMs % 86_400_000) > nowMs) return months;
  }
}

/** Our copies of subscriptions, against Stripe's. */
function subscriptions({ store, stripe }: World): string[] {
  const wrong: string[] = [];
  const rows = store.rows<{
    stripeSubscriptionId: string;
    status: string;
    liveKey: string | null;
    planId: string;
    quantity: number;
    cancelAtPeriodEnd: number;
    cancelAt: string | null;
    pendingPlanId: string | null;
    currentPeriodEnd: string;
  }>("SELECT * FROM subscriptions");
  const live = new Map<string, number>();
  for (const it of stripe.tables.subscriptions.values()) {
    const isLive = it.status !== "canceled" && it.status !== "incomplete_expired";
    if (isLive) live.set(it.customer, (live.get(it.customer) ?? 0) + 1);
    const row = rows.find(({ stripeSubscriptionId }) => stripeSubscriptionId === it.id);
    const ours = row && {
      status: row.status,
      live: row.liveKey !== null,
      plan: row.planId,
      quantity: row.quantity,
      cancel: row.cancelAtPeriodEnd === 1,
      cancelAt: row.cancelAt === null ? null : Date.parse(row.cancelAt),
      pending: row.pendingPlanId,
      end: Date.parse(row.currentPeriodEnd),
    };
    const theirs = { status: it.status, live: isLive, ...currentOf(stripe.tables, it) };
    if (JSON.stringify(ours) !== JSON.stringify(theirs))
      wrong.push(`subscription ${it.id}: ${JSON.stringify(ours)}, not ${JSON.stringify(theirs)}`);
  }
  for (const [customer, count] of live)
    if (count > 1) wrong.push(`${customer} has ${count} live subscriptions`);
  return wrong;
}

function currentOf(tables: World["stripe"]["tables"], it: Subscription) {
  const [item] = it.items.data;
  const end = item?.current_period_end ?? 0;
  const endsAt = it.cancel_at ?? (it.cancel_at_period_end ? end : null);
  const plan = planOf(item?.price.product);
  const schedule = tables.schedules.get(it.schedule ?? "");
  const next = schedule?.phases
    .filter(({ start_date }) => start_date > (item?.current_period_start ?? 0))
    .map(({ items }) => planOf(tables.prices.get(items[0]?.price ?? "")?.product))
    .find((id) => id !== plan);
  return {
    plan,
    quantity: item?.quantity ?? 0,
    cancel: it.cancel_at_period_end || (it.cancel_at !== null && it.cancel_at <= end),
    cancelAt: endsAt === null ? null : endsAt * 1000,
    pending: next ?? null,
    end: end * 1000,
  };
}

const planOf = (product = ""): string => product.replace("skywork_plan_", "");

/**
 * One customer for each user. Where the answer to the first order was lost and nobody asked again while Stripe knew its
 * key (a day), there may be an older one: empty, and never used.
 */
function customers({ store, stripe }: World): string[] {
  const { tables } = stripe;
  const used = new Set(
    store
      .rows<{ id: string }>("SELECT stripeCustomerId AS id FROM users WHERE stripeCustomerId <> ''")
      .map(({ id }) => id),
  );
  const spare = [...tables.customers.values()].filter(({ id }) => !used.has(id));
  return spare.flatMap((it) => {
    const others = [...tables.customers.values()].filter(
      ({ id, metadata }) => id !== it.id && metadata["userId"] === it.metadata["userId"],
    );
    const isNear = others.some(({ created }) => Math.abs(created - it.created) < KEY_LIFE_SECONDS);
    const isUsed = [...tables.sessions.values(), ...tables.subscriptions.values()].some(
      ({ customer }) => customer === it.id,
    );
    return isNear || isUsed ? [`${it.metadata["userId"]} has a second customer ${it.id}`] : [];
  });
}
