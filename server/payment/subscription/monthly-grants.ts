// Monthly grants of yearly plans: each paid invoice is synced again when its next month begins.
import { HOUR_MS } from "../../lib/time.ts";
import { addMonths, nextBillingDate } from "../catalog/billing-months.ts";
import type { Subscription } from "../payment.types.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";
import { isGranting } from "../sync/subscription-status.ts";
import { syncWithStripe } from "../sync/sync.ts";

const BATCH = 200;
/** More than a year: how far back an invoice may still owe a month. */
const LOOK_BACK_MONTHS = 13;
/** How often a subscription that grants nothing, because it is unpaid, is checked. */
const WAIT_MS = HOUR_MS;

/** Job: makes all grants due on yearly plans, until `signal` aborts. Returns how many. Safe to repeat. */
export async function grantMonthly(deps: SyncDeps, signal?: AbortSignal): Promise<number> {
  let grants = 0;
  const dueAt = new Date(deps.now());
  for (let after = ""; ; ) {
    const due = await deps.store.subscriptions.dueForGrant(dueAt, { after, take: BATCH });
    for (const subscription of due) {
      if (signal?.aborted) return grants;
      try {
        grants += await grantMonth(deps, subscription);
      } catch (error) {
        // One subscriber's failure must not affect the others; it stays due for the next run.
        const entry = { err: error, subscriptionId: subscription.id };
        deps.logger.error(entry, "monthly grant failed");
      }
    }
    const last = due.at(-1);
    if (last === undefined || due.length < BATCH) return grants;
    after = last.id;
  }
}

async function grantMonth(deps: SyncDeps, due: Subscription): Promise<number> {
  const { store, stripe } = deps;
  const now = new Date(deps.now());
  const { stripeSubscriptionId: subscriptionId } = due;
  // Past due: the months wait, and there is no need to read its invoices meanwhile.
  if (!isGranting(due.status)) {
    await syncWithStripe(deps, { kind: "subscription", subscriptionId });
    const current = await store.subscriptions.find(due.id);
    if (current === null || !isGranting(current.status)) {
      await setNextGrant(deps, due, new Date(now.getTime() + WAIT_MS));
      return 0;
    }
  }
  const since = addMonths(due.nextGrantAt ?? now, -LOOK_BACK_MONTHS);
  const invoices = await store.payments.invoicesOf(due.id, since);
  const ids = invoices.map(({ id }) => id);
  const before = await store.payments.creditsPurchased(ids);
  for (const { stripeInvoiceId: invoiceId } of invoices)
    await syncWithStripe(deps, { kind: "invoice", invoiceId });
  const subscription = await stripe.getSubscription(subscriptionId);
  // If it stopped granting meanwhile it stays due, so that the grant is made when it recovers.
  if (isGranting(subscription.status))
    await setNextGrant(deps, due, nextBillingDate(subscription.billingAnchor, now));
  const after = await store.payments.creditsPurchased(ids);
  return [...after].filter(([id, credits]) => credits > (before.get(id) ?? 0)).length;
}

function setNextGrant({ store }: SyncDeps, due: Subscription, at: Date): Promise<void> {
  return store.lockedTransaction(due.userId, ({ subscriptions }) =>
    subscriptions.setNextGrant(due, at),
  );
}
