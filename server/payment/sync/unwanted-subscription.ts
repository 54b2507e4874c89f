// A subscription nobody can want, the second of two tabs say: it is ended at Stripe and its payments given back, those
// too that come after its end.
import type { PaymentTables } from "../ports.ts";
import type { StripeInvoice, StripeSubscription } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";
import { refundWhole } from "./refund-whole.ts";
import { isLive } from "./subscription-status.ts";

type Deps = Pick<SyncDeps, "stripe" | "logger">;

/** Why nobody can want a subscription: the user has another one, or there is no such user any more. */
export type Unwanted = "duplicate" | "account deleted";

/** Refunds and ends a subscription that is live still. Returns it as it is then. Safe to repeat. */
export async function endUnwanted(
  deps: Deps,
  { id }: Pick<StripeSubscription, "id">,
  reason: Unwanted,
): Promise<StripeSubscription> {
  const { stripe, logger } = deps;
  // It was read before it was known to be unwanted. What its owner has ended meanwhile, to delete the account say, was
  // wanted for as long as it ran: nothing of it is given back.
  const subscription = await stripe.getSubscription(id);
  if (!isLive(subscription.status)) return subscription;
  logger.warn({ subscriptionId: subscription.id, reason }, "unwanted live subscription ended");
  // Money first: if this stops half-way the subscription is still live and the next sync goes on.
  // All of it: it may have been switched or renewed before it was heard of.
  const filter = { customerId: subscription.customerId, status: "paid", limit: 100 } as const;
  for (const invoice of await stripe.listInvoices(filter))
    if (invoice.subscriptionId === subscription.id && invoice.amountPaid > 0)
      await refundInvoice(deps, invoice, reason);
  return stripe.cancelSubscription(subscription.id, `unwanted:${subscription.id}`);
}

/**
 * Why nobody can want what an invoice sells that is paid only now: it was open when its subscription ended, by a debit
 * under way or a card that failed. Null: it is wanted.
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
  // An account's subscriptions end a moment before it does.
  if (deletedAt !== null && paidAt >= Math.min(endMs, deletedAt.getTime()))
    return "account deleted";
  if (endedAt === null || paidAt < endMs) return null;
  const others = (await subscriptions.ofUser(userId)).filter(
    ({ stripeSubscriptionId }) => stripeSubscriptionId !== id,
  );
  // Two never run at once but for `endUnwanted`.
  const wasSecond = others.some(
    (other) => other.createdAt <= endedAt && (other.endedAt === null || other.endedAt > endedAt),
  );
  return wasSecond ? "duplicate" : null;
}

/** Gives back all that was paid of an invoice. Safe to repeat. */
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
