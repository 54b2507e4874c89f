// Owns catching up with Stripe: events that never came, payments and invoices without their grant, subscriptions adrift.
import { isAppError } from "../../lib/errors.ts";
import { type Events, HANDLED_EVENTS } from "./events.ts";
import type { Fulfilment } from "../sync/sync.ts";
import type { ReconcileReport } from "../payment.types.ts";
import { explainRefusal } from "../stripe/advice.ts";
import { refusalOf } from "../stripe/errors.ts";
import type { StripeEventNotice } from "../stripe/port.ts";
import type { Subscriptions } from "../subscription/subscriptions.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Stripe keeps events for 30 days. */
const MAX_WINDOW_MS = 30 * DAY_MS;
/** Stripe itself retries for three days; what is older than the newest event by more was seen by an earlier run. */
const OVERLAP_MS = 3 * DAY_MS;
/** A checkout younger than this is its webhook's business. */
const SETTLE_MS = 2 * 60_000;
const PAGE = 200;
const MAX_EVENT_PAGES = 1_000;
const MAX_INVOICES = 10_000;

type Counts = { -readonly [Name in keyof Omit<ReconcileReport, "problems">]: number };

/** Makes reconcile. Running it twice, or beside webhooks, changes nothing more. */
export function createReconcile(
  work: PaymentDeps & { readonly sandbox: boolean },
  parts: { fulfilment: Fulfilment; events: Events; subscriptions: Subscriptions },
) {
  const { stripe } = work;
  const { models } = work.database;
  const { fulfilment, events } = parts;

  async function windowStart(now: number): Promise<Date> {
    const newest = await models.stripeEvent.findFirst({
      orderBy: { receivedAt: "desc" },
      select: { createdAt: true },
    });
    const since = newest === null ? 0 : newest.createdAt.getTime() - OVERLAP_MS;
    return new Date(Math.max(since, now - MAX_WINDOW_MS));
  }

  /** Events newest first from Stripe, processed oldest first as they happened. */
  async function recoverEvents(since: Date, counts: Counts, problem: (text: string) => void) {
    const missed: StripeEventNotice[] = [];
    let after: string | null = null;
    for (let pages = 0; pages < MAX_EVENT_PAGES; pages += 1) {
      const page = await stripe.listEvents({ createdSince: since, types: HANDLED_EVENTS, after });
      counts.eventsSeen += page.events.length;
      const known = await models.stripeEvent.findMany({
        where: {
          id: { in: page.events.map(({ id }) => id) },
          status: { in: ["PROCESSED", "IGNORED"] },
        },
        select: { id: true },
      });
      const have = new Set(known.map(({ id }) => id));
      missed.push(...page.events.filter(({ id }) => !have.has(id)));
      after = page.events.at(-1)?.id ?? null;
      if (!page.more || after === null) break;
    }
    const failed: StripeEventNotice[] = [];
    for (const notice of missed.reverse()) {
      const { outcome } = await events.recover(notice);
      if (outcome === "settled") counts.eventsRecovered += 1;
      if (outcome === "failed") failed.push(notice);
    }
    // What failed in passing gets a second chance in the same run; only what fails again is a problem.
    for (const notice of failed) {
      const recovered = await events.recover(notice);
      if (recovered.outcome === "settled") counts.eventsRecovered += 1;
      if (recovered.outcome === "failed")
        problem(`event ${notice.id} (${notice.type}): ${recovered.reason}`);
    }
  }

  /** Our open checkouts, oldest first: paid, expired and forgotten ones are settled. */
  async function settleCheckouts(before: Date, counts: Counts, problem: (text: string) => void) {
    for (let after = ""; ; ) {
      const rows = await models.payment.findMany({
        where: {
          id: { gt: after },
          status: "PENDING",
          stripeSessionId: { not: null },
          createdAt: { lte: before },
        },
        orderBy: { id: "asc" },
        take: PAGE,
        select: { id: true, stripeSessionId: true },
      });
      for (const { id, stripeSessionId } of rows) {
        await attempt(problem, `payment ${id}`, async () => {
          await fulfilment.fulfil({ kind: "checkout", sessionId: stripeSessionId ?? "" });
          const row = await models.payment.findUnique({ where: { id }, select: { status: true } });
          if (row?.status === "SUCCESS") counts.paymentsRepaired += 1;
          else if (row?.status === "FAILED") counts.checkoutsClosed += 1;
        });
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) break;
      after = last.id;
    }
    // Rows whose session was never known: nobody can pay them after their time.
    const { count } = await models.checkout.updateMany({
      where: { status: "OPEN", stripeSessionId: null, expiresAt: { lt: new Date(work.now()) } },
      data: { status: "EXPIRED", liveKey: null },
    });
    counts.checkoutsClosed += count;
  }

  /** Paid invoices since `since` that have no payment here. */
  async function settleInvoices(since: Date, counts: Counts, problem: (text: string) => void) {
    const invoices = await stripe.listInvoices({
      status: "paid",
      createdSince: since,
      limit: MAX_INVOICES,
    });
    for (let at = 0; at < invoices.length; at += PAGE) {
      const page = invoices.slice(at, at + PAGE).filter(({ subscriptionId }) => subscriptionId);
      const known = await models.payment.findMany({
        where: { stripeInvoiceId: { in: page.map(({ id }) => id) }, paidAt: { not: null } },
        select: { stripeInvoiceId: true },
      });
      const have = new Set(known.map(({ stripeInvoiceId }) => stripeInvoiceId));
      for (const { id } of page) {
        if (have.has(id)) continue;
        await attempt(problem, `invoice ${id}`, async () => {
          const settled = await fulfilment.fulfil({ kind: "invoice", invoiceId: id });
          if (settled.outcome === "done") counts.invoicesRepaired += 1;
        });
      }
    }
  }

  /** Live subscriptions against Stripe's current objects. */
  async function settleSubscriptions(counts: Counts, problem: (text: string) => void) {
    for (let after = ""; ; ) {
      const rows = await models.subscription.findMany({
        where: { id: { gt: after }, liveKey: { not: null } },
        orderBy: { id: "asc" },
        take: PAGE,
      });
      for (const row of rows) {
        await attempt(problem, `subscription ${row.stripeSubscriptionId}`, async () => {
          const settled = await fulfilment.fulfil({
            kind: "subscription",
            subscriptionId: row.stripeSubscriptionId,
          });
          if (settled.outcome === "ignored") {
            if (work.sandbox) await parts.subscriptions.close(row);
            else problem(`subscription ${row.stripeSubscriptionId}: ${settled.reason}`);
            return;
          }
          const now = await models.subscription.findUniqueOrThrow({ where: { id: row.id } });
          const hasMoved =
            now.status !== row.status ||
            now.planId !== row.planId ||
            now.cancelAtPeriodEnd !== row.cancelAtPeriodEnd ||
            now.currentPeriodEnd.getTime() !== row.currentPeriodEnd.getTime();
          if (hasMoved) counts.subscriptionsRepaired += 1;
        });
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return;
      after = last.id;
    }
  }

  async function attempt(
    problem: (text: string) => void,
    what: string,
    step: () => Promise<void>,
  ): Promise<void> {
    try {
      await step();
    } catch (error) {
      work.logger.error({ err: error, what }, "reconcile step failed");
      const refusal = refusalOf(error);
      const reason = isAppError(error) ? error.message : "unexpected failure";
      problem(`${what}: ${refusal === null ? reason : explainRefusal(refusal)}`);
    }
  }

  /** See PaymentService.reconcile. */
  return async function reconcile(
    options: { since?: Date; settleMs?: number } = {},
  ): Promise<ReconcileReport> {
    const now = work.now();
    const problems: string[] = [];
    const problem = (text: string): void => {
      if (problems.length < 100) problems.push(text);
    };
    const counts: Counts = {
      eventsSeen: 0,
      eventsRecovered: 0,
      paymentsRepaired: 0,
      invoicesRepaired: 0,
      subscriptionsRepaired: 0,
      checkoutsClosed: 0,
    };
    const since = options.since ?? (await windowStart(now));
    const before = new Date(now - (options.settleMs ?? SETTLE_MS));
    await attempt(problem, "events", () => recoverEvents(since, counts, problem));
    await attempt(problem, "checkouts", () => settleCheckouts(before, counts, problem));
    await attempt(problem, "invoices", () => settleInvoices(since, counts, problem));
    await attempt(problem, "subscriptions", () => settleSubscriptions(counts, problem));
    return { ...counts, problems };
  };
}
