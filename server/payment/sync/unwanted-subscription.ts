// Unwanted subscriptions, e.g. the second one bought in two tabs: ended at Stripe and refunded, including payments
// that arrive after the end.
import type { PaymentTables } from "../ports.ts";
import type { StripeInvoice, StripeSubscription } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";
import { refundWhole } from "./refund-whole.ts";
import { isLive } from "./subscription-status.ts";

/** Ten pages of Stripe's list. The customer's other subscriptions may have filled the first ones. */
const MAX_INVOICES = 1_000;

type Deps = Pick<SyncDeps, "stripe" | "logger">;

/** Why a subscription is unwanted: the user has another one, or the account no longer exists. */
export type Unwanted = "duplicate" | "account deleted";

/** Refunds and ends a subscription that is still live. Returns its state afterwards. Safe to repeat. */
export async function endUnwanted(
  deps: Deps,
  { id }: Pick<StripeSubscription, "id">,
  reason: Unwanted,
): Promise<StripeSubscription> {
  const { stripe, logger } = deps;
  // Read it again: it was fetched before it was known to be unwanted. If its owner has ended it meanwhile, e.g. by
  // deleting the account, it was wanted for as long as it ran, so nothing is refunded.
  const subscription = await stripe.getSubscription(id);
  if (!isLive(subscription.status)) return subscription;
  logger.warn({ subscriptionId: subscription.id, reason }, "unwanted live subscription ended");
  // Refund first: if this stops halfway, the subscription is still live and the next sync continues. Every invoice is
  // refunded, because it may have been switched or renewed before we learned of it.
  const filter = {
    customerId: subscription.customerId,
    status: "paid",
    limit: MAX_INVOICES,
  } as const;
  for (const invoice of await stripe.listInvoices(filter))
    if (invoice.subscriptionId === subscription.id && invoice.amountPaid > 0)
      await refundInvoice(deps, invoice, reason);
  return stripe.cancelSubscription(subscription.id, `unwanted:${subscription.id}`);
}

/**
 * Why what a paid invoice sells is unwanted: it was still open when its subscription ended (a debit in progress, or a
 * card that failed) and was paid only after that. Null when it is wanted.
 */
export async function whyInvoiceIsUnwanted(
  { customers, subscriptions }: Pick<PaymentTables, "customers" | "subscriptions">,
  userId: string,
  invoice: Pick<StripeInvoice, "paidAt">,
  { id, endedAt }: Pick<StripeSubscription, "id" | "endedAt">,
): Promise<Unwanted | null> {
  const paidAt = invoice.paidAt?.getTime() ?? Number.POSITIVE_INFINITY;
  const endMs = endedAt?.getTime() ?? Number.POSITIVE_INFINITY;
  const deletedAt = (await customers.find(userId))?.deletedAt ?? null;
  // Deleting an account ends its subscriptions a moment before the account itself.
  if (deletedAt !== null && paidAt >= Math.min(endMs, deletedAt.getTime()))
    return "account deleted";
  if (endedAt === null || paidAt < endMs) return null;
  const others = (await subscriptions.ofUser(userId)).filter(
    ({ stripeSubscriptionId }) => stripeSubscriptionId !== id,
  );
  // Two run at the same time only until `endUnwanted` ends one.
  const wasSecond = others.some(
    (other) => other.createdAt <= endedAt && (other.endedAt === null || other.endedAt > endedAt),
  );
  return wasSecond ? "duplicate" : null;
}

/** Refunds everything paid on an invoice. Safe to repeat. */
export async function refundInvoice(
  deps: Deps,
  { id, amountPaid }: Pick<StripeInvoice, "id" | "amountPaid">,
  reason: Unwanted,
): Promise<void> {
  const payments = await deps.stripe.listInvoicePayments(id);
  const whole = payments.length === 1 ? amountPaid : null;
  for (const { paymentIntentId, amountPaid: paid } of payments)
    await refundWhole(deps, { paymentIntentId, orderKey: `unwanted:${id}`, reason }, paid ?? whole);
}
