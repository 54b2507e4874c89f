// Owns the reckoning of money: an independent account of every payment and subscription, made from Stripe's tables alone.
import type { CheckoutSession } from "../../server/sandbox/src/stripe/objects/types.ts";
import type {
  Invoice,
  Subscription,
} from "../../server/sandbox/src/stripe/objects/types-billing.ts";
import type { World } from "./world.ts";

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
}

interface Offer {
  id: string;
  credits: number;
  interval: string | null;
}

const KEY_LIFE_SECONDS = 86_400;
const GIVEN = "('PURCHASE', 'SUBSCRIPTION', 'REFUND', 'DISPUTE', 'DISPUTE_REVERSAL')";

/** Sentences of what does not add up. `monthsGranted`: the job has been at the months of yearly plans. */
export function reckonMoney(world: World, { monthsGranted = true } = {}): string[] {
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
      .rows<Offer>(
        `SELECT id, credits, NULL AS interval FROM credit_packages
         UNION ALL SELECT id, credits, interval FROM plans`,
      )
      .map((row) => [row.id, row]),
  );
  const settled = new Set<string>();

  /** What went back of a payment, as Stripe has it. */
  function backOf(intent: string | null): { refunded: number; disputed: number } {
    let refunded = 0;
    let disputed = 0;
    for (const it of tables.refunds.values())
      if (it.payment_intent === intent && it.status !== "failed" && it.status !== "canceled")
        refunded += it.amount;
    for (const it of tables.disputes.values())
      if (it.payment_intent === intent && /^(needs_response|under_review|lost)$/.test(it.status))
        disputed += it.amount;
    return { refunded, disputed };
  }

  /** A paid payment: its state, and the credits that are left of it after all that went back. */
  function paid(row: PaymentRow, amount: number, intent: string | null): void {
    settled.add(row.id);
    const { refunded, disputed } = backOf(intent);
    const back = refunded + disputed;
    const state =
      disputed > 0 ? "DISPUTED" : refunded >= amount ? "REFUNDED" : "PARTIALLY_REFUNDED";
    const status = amount === 0 || back === 0 ? "SUCCESS" : state;
    const share =
      back >= amount ? row.creditsPurchased : Math.floor((row.creditsPurchased * back) / amount);
    const left = row.creditsPurchased - (back === 0 ? 0 : share);
    const [sum] = store.rows<{ credits: number | null }>(
      `SELECT SUM(amount) AS credits FROM credit_logs WHERE sourceId = ? AND type IN ${GIVEN}`,
      row.id,
    );
    check(row.amount === amount, `payment ${row.id} is of ${row.amount}, Stripe took ${amount}`);
    check(
      row.refundedAmount === refunded,
      `payment ${row.id}: ${row.refundedAmount} refunded, Stripe says ${refunded}`,
    );
    check(row.status === status, `payment ${row.id} is ${row.status} instead of ${status}`);
    check(
      (sum?.credits ?? 0) === left,
      `payment ${row.id}: ${sum?.credits ?? 0} credits are left, ${left} should be`,
    );
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
      if (row !== undefined) paid(row, session.amount_total, session.payment_intent);
    } else if (session.status !== "open" && row !== undefined && !isUnderWay(session))
      check(row.status === "FAILED", `session ${session.id} is over, its payment ${row.status}`);
  }

  /** A delayed payment that is neither paid nor refused. */
  function isUnderWay(session: CheckoutSession): boolean {
    return tables.paymentIntents.get(session.payment_intent ?? "")?.status === "processing";
  }

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
    const { least, most } = worth(invoice, offers, scheduler.nowMs, goesOn(invoice, intent));
    check(
      row.creditsPurchased >= least && row.creditsPurchased <= most,
      `invoice ${invoice.id} gave ${row.creditsPurchased} credits, not ${least} to ${most}`,
    );
    paid(row, invoice.amount_paid, intent);
  }
  for (const row of payments)
    check(
      settled.has(row.id) || row.status === "PENDING" || row.status === "FAILED",
      `payment ${row.id} is ${row.status} and Stripe knows of none`,
    );

  /** Whether the later months of a yearly invoice come. */
  function goesOn(invoice: Invoice, intent: string | null): boolean {
    const { refunded, disputed } = backOf(intent);
    const id = invoice.parent.subscription_details.subscription;
    return (
      monthsGranted &&
      tables.subscriptions.get(id)?.status === "active" &&
      refunded + disputed < invoice.amount_paid
    );
  }

  wrong.push(...subscriptions(world), ...customers(world));
  return wrong;
}

/** The credits an invoice gives: each line the share of its plan that its money is of the price. */
function worth(
  invoice: Invoice,
  offers: ReadonlyMap<string, Offer>,
  nowMs: number,
  goesOn: boolean,
): { least: number; most: number } {
  let top = 0n;
  let bottom = 1n;
  let monthly = 0;
  for (const line of invoice.lines.data) {
    const { pricing } = line as unknown as {
      pricing: { price_details: { product: string }; unit_amount_decimal: string };
    };
    const plan = offers.get(pricing.price_details.product.replace("skywork_plan_", ""));
    if (plan === undefined) continue;
    const months = plan.interval === "year" ? 12 : 1;
    if (plan.interval === "year") monthly = plan.credits;
    const unit = BigInt(pricing.unit_amount_decimal);
    top = top * unit + BigInt(line.amount) * BigInt(plan.credits * months) * bottom;
    bottom *= unit;
  }
  const whole = top > 0n ? Number(top / bottom) : 0;
  if (monthly === 0) return { least: whole, most: whole };
  const [line] = invoice.lines.data;
  // Made of several plans: only the whole of it is plain.
  if (invoice.lines.data.length > 1 || line === undefined) return { least: 0, most: whole };
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
    cancelAtPeriodEnd: number;
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
      cancel: row.cancelAtPeriodEnd === 1,
      end: Date.parse(row.currentPeriodEnd),
    };
    const theirs = { status: it.status, live: isLive, ...currentOf(it) };
    if (JSON.stringify(ours) !== JSON.stringify(theirs))
      wrong.push(`subscription ${it.id}: ${JSON.stringify(ours)}, not ${JSON.stringify(theirs)}`);
  }
  for (const [customer, count] of live)
    if (count > 1) wrong.push(`${customer} has ${count} live subscriptions`);
  return wrong;
}

function currentOf(it: Subscription): { plan: string; cancel: boolean; end: number } {
  const [item] = it.items.data;
  return {
    plan: item?.price.product.replace("skywork_plan_", "") ?? "",
    cancel: it.cancel_at_period_end,
    end: (item?.current_period_end ?? 0) * 1000,
  };
}

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
