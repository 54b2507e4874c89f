// Catches up with Stripe: events that never arrived, payments and invoices without a grant, drifted subscriptions.
import { isAppError } from "../../lib/errors.ts";
import { DAY_MS, HOUR_MS } from "../../lib/time.ts";
import type { ReconcileReport, Subscription } from "../payment.types.ts";
import { explainRefusal } from "../stripe/advice.ts";
import { refusalOf } from "../stripe/errors.ts";
import type { StripeEventNotice, StripeInvoice } from "../stripe/port.ts";
import { closeSubscription } from "../subscription/close-subscription.ts";
import { syncWithStripe } from "../sync/sync.ts";
import { type EventDeps, recoverEvent } from "./events.ts";
import { HANDLED_EVENTS } from "./handled-events.ts";

/** Stripe keeps events for 30 days. */
const MAX_WINDOW_MS = 30 * DAY_MS;
/** Covered again although a complete run has seen it: Stripe itself retries for three days. */
const OVERLAP_MS = 3 * DAY_MS;
/** A checkout younger than this is left to its webhook. */
const SETTLE_MS = 2 * 60_000;
const PAGE = 200;
const MAX_EVENT_PAGES = 1_000;
const MAX_INVOICE_PAGES = 1_000;
const MAX_PROBLEMS = 100;

/** Dependencies of reconcile. */
export interface ReconcileDeps extends EventDeps {
  /** Whether Stripe is the sandbox, whose objects may vanish on a restart. */
  readonly sandbox: boolean;
}

/** The scope of a run. */
export interface ReconcileOptions {
  /** Covers events and invoices created since then; defaults to as far back as needed. */
  readonly since?: Date;
  /** Checkouts younger than this are left to their webhook; defaults to 2 minutes. */
  readonly settleMs?: number;
  /** How many live subscriptions to check, starting at a different place each hour; defaults to all. */
  readonly maxSubscriptions?: number | undefined;
  /** Stops the run after the item in progress. */
  readonly signal?: AbortSignal | undefined;
}

/** One run: its counts, and the problems it could not fix. */
interface Run {
  readonly deps: ReconcileDeps;
  readonly signal: AbortSignal | undefined;
  readonly counts: {
    -readonly [Name in Exclude<keyof ReconcileReport, "caughtUp" | "problems">]: number;
  };
  readonly problems: string[];
  /** Failures reported, including those beyond MAX_PROBLEMS. */
  failures: number;
  /** Whether Stripe knew something of ours, so that its key must be that of our account. */
  isOurAccount: boolean;
  /** How many objects of ours Stripe does not know: live subscriptions, and sessions of pending payments. */
  unknown: number;
}

/** See PaymentService.reconcile. Safe to repeat and to run alongside webhooks. */
export async function reconcile(
  deps: ReconcileDeps,
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  const counts = {
    eventsSeen: 0,
    eventsRecovered: 0,
    paymentsRepaired: 0,
    invoicesRepaired: 0,
    subscriptionsRepaired: 0,
    checkoutsClosed: 0,
  };
  const { signal, maxSubscriptions } = options;
  const seen = { isOurAccount: false, unknown: 0 };
  const run: Run = { deps, signal, counts, problems: [], failures: 0, ...seen };
  const nowMs = deps.now();
  const needed = await windowStart(deps, nowMs);
  const since = options.since ?? needed;
  const before = new Date(nowMs - (options.settleMs ?? SETTLE_MS));
  const hasEvents = await attempt(run, "events", () => recoverEvents(run, since));
  await attempt(run, "checkouts", () => settleCheckouts(run, before));
  const hasInvoices = await attempt(run, "invoices", () => settleInvoices(run, since));
  // A run that is cut short does not move the mark: report it, or constant cut-offs would go unnoticed.
  if (signal?.aborted) addProblem(run, "stopped early: the next run begins where this one did");
  const isComplete = hasEvents && hasInvoices && since <= needed && !signal?.aborted;
  await attempt(run, "subscriptions", () => settleSubscriptions(run, maxSubscriptions));
  let caughtUp = false;
  // With the key of another account, nothing was caught up. Stripe not knowing one subscription proves little, so this
  // applies only if it knew nothing of ours; the sandbox may simply have restarted.
  if (run.unknown > 0 && !run.isOurAccount && !deps.sandbox)
    addProblem(run, "mark: Stripe showed nothing of ours: is the key that of another account?");
  // The mark moves even if the run was stopped while checking subscriptions.
  else if (isComplete)
    caughtUp = await attempt({ ...run, signal: undefined }, "mark", () =>
      deps.store.events.setReconciledTo(nowMs),
    );
  return { ...counts, caughtUp, problems: run.problems };
}

/**
 * Runs one step, unless the run is stopping. A failure becomes a problem in the report and the run continues. Returns
 * true when no failure was reported until the step ended or was stopped.
 */
async function attempt(run: Run, what: string, step: () => Promise<void>): Promise<boolean> {
  if (run.signal?.aborted) return false;
  const { failures } = run;
  try {
    await step();
  } catch (error) {
    run.deps.logger.error({ err: error, what }, "reconcile step failed");
    const refusal = refusalOf(error);
    if (refusal?.refusal === "missing") run.unknown += 1;
    const reason = isAppError(error) ? error.message : "unexpected failure";
    report(run, `${what}: ${refusal === null ? reason : explainRefusal(refusal)}`);
  }
  return run.failures === failures;
}

function report(run: Run, problem: string): void {
  run.failures += 1;
  addProblem(run, problem);
}

function addProblem({ problems }: Run, problem: string): void {
  if (problems.length < MAX_PROBLEMS) problems.push(problem);
}

/** The start of the time that the last complete run did not cover, whatever was received since. */
async function windowStart({ store }: ReconcileDeps, nowMs: number): Promise<Date> {
  const markMs = await store.events.reconciledTo();
  // A mark in the future was set by a clock that ran ahead, so it covers nothing up to now.
  const sinceMs = markMs > nowMs ? 0 : markMs - OVERLAP_MS;
  return new Date(Math.max(sinceMs, nowMs - MAX_WINDOW_MS));
}

/** Processes missed events oldest first, as they happened; Stripe lists them newest first. */
async function recoverEvents(run: Run, since: Date): Promise<void> {
  const { deps, counts } = run;
  const failed: StripeEventNotice[] = [];
  for (const notice of (await listMissed(run, since)).reverse()) {
    if (run.signal?.aborted) return;
    const { outcome } = await recoverEvent(deps, notice);
    if (outcome === "settled") counts.eventsRecovered += 1;
    if (outcome === "failed") failed.push(notice);
  }
  // A transient failure gets a second chance in the same run; only a repeated failure is a problem.
  for (const notice of failed) {
    if (run.signal?.aborted) return;
    const recovered = await recoverEvent(deps, notice);
    if (recovered.outcome === "settled") counts.eventsRecovered += 1;
    // Not a failure of the run: the event is stored here and retried automatically.
    if (recovered.outcome === "failed")
      addProblem(run, `event ${notice.id} (${notice.type}): ${recovered.reason}`);
  }
}

/** Stripe's events that are not completed here, newest first. */
async function listMissed(run: Run, since: Date): Promise<StripeEventNotice[]> {
  const { deps, signal, counts } = run;
  const { stripe, store } = deps;
  const missed: StripeEventNotice[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < MAX_EVENT_PAGES; pages += 1) {
    const page = await stripe.listEvents({ createdSince: since, types: HANDLED_EVENTS, after });
    counts.eventsSeen += page.events.length;
    const completed = await store.events.completed(page.events.map(({ id }) => id));
    missed.push(...page.events.filter(({ id }) => !completed.has(id)));
    if ([...completed.values()].includes("PROCESSED")) run.isOurAccount = true;
    after = page.events.at(-1)?.id ?? null;
    if (!page.more || after === null || signal?.aborted) return missed;
  }
  report(run, `events: only the latest ${counts.eventsSeen} were looked at`);
  return missed;
}

/** Settles payments pending for longer than their webhook may take, and expires checkouts that never got a session. */
async function settleCheckouts(run: Run, before: Date): Promise<void> {
  const { deps, counts } = run;
  const { payments, checkouts } = deps.store;
  for (let after = ""; ; ) {
    const pending = await payments.pending(before, { after, take: PAGE });
    for (const { id, stripeSessionId: sessionId } of pending)
      await attempt(run, `payment ${id}`, async () => {
        const result = await syncWithStripe(deps, { kind: "checkout", sessionId });
        if (result.outcome === "ignored" && result.isUnknown) {
          run.unknown += 1;
          await recoverEvent(deps, toNotice(deps, "checkout.session", sessionId));
        }
        const payment = await payments.find({ id });
        if (payment?.status === "SUCCESS") counts.paymentsRepaired += 1;
        else if (payment?.status === "FAILED") counts.checkoutsClosed += 1;
      });
    const last = pending.at(-1);
    if (last === undefined || pending.length < PAGE || run.signal?.aborted) break;
    after = last.id;
  }
  // They can no longer be paid after their expiry.
  counts.checkoutsClosed += await checkouts.expireWithoutSession(new Date(deps.now()));
}

/** Syncs paid invoices created since `since` that have no payment here. */
async function settleInvoices(run: Run, since: Date): Promise<void> {
  const { deps, signal } = run;
  let after: string | undefined;
  for (let pages = 0; pages < MAX_INVOICE_PAGES; pages += 1) {
    const filter = { status: "paid", createdSince: since, after, limit: PAGE } as const;
    const page = await deps.stripe.listInvoices(filter);
    if (signal?.aborted) return;
    for (const invoiceId of await listUnpaid(run, page)) {
      if (signal?.aborted) return;
      await settleInvoice(run, invoiceId);
    }
    after = page.at(-1)?.id;
    if (page.length < PAGE || signal?.aborted) return;
  }
  report(run, `invoices: only the latest ${MAX_INVOICE_PAGES * PAGE} were looked at`);
}

/** Syncs one invoice. One that fails is stored like an event and retried automatically: it is not lost. */
async function settleInvoice(run: Run, invoiceId: string): Promise<void> {
  const { deps, counts } = run;
  try {
    const { outcome } = await syncWithStripe(deps, { kind: "invoice", invoiceId });
    if (outcome === "done") counts.invoicesRepaired += 1;
  } catch (error) {
    deps.logger.error({ err: error, invoiceId }, "invoice not settled");
    const recovered = await recoverEvent(deps, toNotice(deps, "invoice", invoiceId));
    if (recovered.outcome === "settled") counts.invoicesRepaired += 1;
    else if (recovered.outcome === "failed")
      addProblem(run, `invoice ${invoiceId}: ${recovered.reason}`);
    // Its row was completed by an earlier run, so it is not retried.
    else report(run, `invoice ${invoiceId}: failed again`);
  }
}

/** An event of our own for an object that no Stripe event may report: stored and retried like any other. */
function toNotice(
  { now }: ReconcileDeps,
  objectType: "invoice" | "checkout.session",
  objectId: string,
): StripeEventNotice {
  const type = objectType === "invoice" ? "invoice.paid" : "checkout.session.completed";
  const createdAt = new Date(now());
  const noPayment = { paymentIntentId: null, chargeId: null };
  return { id: `reconcile_${objectId}`, type, createdAt, objectId, objectType, ...noPayment };
}

/**
 * Returns the invoices of ours that have no payment here. Those for anything else the account sells never get one;
 * checking them on every run would keep it from finishing.
 */
async function listUnpaid({ deps }: Run, page: readonly StripeInvoice[]): Promise<string[]> {
  const { payments, customers, subscriptions } = deps.store;
  const paid = await payments.paidInvoices(page.map(({ id }) => id));
  const unpaid = page.filter(({ id, subscriptionId }) => subscriptionId && !paid.has(id));
  const users = await customers.known(unpaid.flatMap(({ customerId }) => customerId ?? []));
  const known = await subscriptions.known(
    unpaid.flatMap(({ subscriptionId }) => subscriptionId ?? []),
  );
  return unpaid
    .filter(
      ({ customerId, subscriptionId }) =>
        users.has(customerId ?? "") || known.has(subscriptionId ?? ""),
    )
    .map(({ id }) => id);
}

/** Syncs live subscriptions: all, or `max` of them from this hour's starting point, wrapping around. */
async function settleSubscriptions(run: Run, max?: number): Promise<void> {
  if (max === undefined) return void (await settleBetween(run, { after: "" }));
  const hour = Math.floor(run.deps.now() / HOUR_MS);
  const start = await run.deps.store.subscriptions.turnCursor(hour);
  const seen = await settleBetween(run, { after: start, max });
  await settleBetween(run, { after: "", upTo: start, max: max - seen });
}

/** Syncs the live subscriptions between two ids, at most `max`, until the run is stopping. Returns how many. */
async function settleBetween(
  run: Run,
  range: { readonly after: string; readonly upTo?: string; readonly max?: number },
): Promise<number> {
  const { upTo, max = Number.POSITIVE_INFINITY } = range;
  let { after } = range;
  for (let seen = 0; ; ) {
    const page = await run.deps.store.subscriptions.live({ after, take: PAGE });
    for (const subscription of page) {
      const isBeyond = upTo !== undefined && subscription.id > upTo;
      if (seen >= max || isBeyond || run.signal?.aborted) return seen;
      seen += 1;
      await attempt(run, `subscription ${subscription.stripeSubscriptionId}`, () =>
        settleSubscription(run, subscription),
      );
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return seen;
    after = last.id;
  }
}

async function settleSubscription(run: Run, before: Subscription): Promise<void> {
  const { deps, counts } = run;
  const { stripeSubscriptionId: subscriptionId } = before;
  const result = await syncWithStripe(deps, { kind: "subscription", subscriptionId });
  if (result.outcome === "ignored") {
    if (deps.sandbox) await closeSubscription(deps, before);
    else {
      if (result.isUnknown) run.unknown += 1;
      report(run, `subscription ${subscriptionId}: ${result.reason}`);
    }
    return;
  }
  run.isOurAccount = true;
  const after = await deps.store.subscriptions.find(before.id);
  const isRepaired =
    after?.status !== before.status ||
    after.planId !== before.planId ||
    after.cancelAtPeriodEnd !== before.cancelAtPeriodEnd ||
    after.currentPeriodEnd.getTime() !== before.currentPeriodEnd.getTime();
  if (isRepaired) counts.subscriptionsRepaired += 1;
}
