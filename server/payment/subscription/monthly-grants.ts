// The months of yearly plans: each paid invoice is synced again when its next month begins.
import { addMonths, nextBillingDate } from "../catalog/billing-months.ts";
import type { Subscription } from "../payment.types.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";
import { isGranting } from "../sync/subscription-status.ts";
import { syncWithStripe } from "../sync/sync.ts";

const BATCH = 200;
/** Longer than a year: what the next month may still be owed from. */
const LOOK_BACK_MONTHS = 13;

/** Job: grants what is due on yearly plans. Returns how many grants were made. Safe to repeat. */
export async function grantMonthly(deps: SyncDeps): Promise<number> {
  let grants = 0;
  const dueAt = new Date(deps.now());
  for (let after = ""; ; ) {
    const due = await deps.store.subscriptions.dueForGrant(dueAt, { after, take: BATCH });
    for (const subscription of due) {
      try {
        grants += await grantMonth(deps, subscription);
      } catch (error) {
        // One subscriber's trouble is not the others'; it is due again next time.
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
  const since = addMonths(due.nextGrantAt ?? now, -LOOK_BACK_MONTHS);
  const invoices = await store.payments.invoicesOf(due.id, since);
  const ids = invoices.map(({ id }) => id);
  const before = await store.payments.creditsPurchased(ids);
  for (const { stripeInvoiceId: invoiceId } of invoices)
    await syncWithStripe(deps, { kind: "invoice", invoiceId });
  const subscription = await stripe.getSubscription(due.stripeSubscriptionId);
  // Past due: the months wait. The grant stays due, so that recovery makes it.
  if (isGranting(subscription.status))
    await store.lockedTransaction(due.userId, ({ subscriptions }) =>
      subscriptions.setNextGrant(due, nextBillingDate(subscription.billingAnchor, now)),
    );
  const after = await store.payments.creditsPurchased(ids);
  return [...after].filter(([id, credits]) => credits > (before.get(id) ?? 0)).length;
}
