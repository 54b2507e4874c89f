// A subscription nobody can want, the second of two tabs say: it is ended at Stripe and its payments given back.
import type { StripeInvoice, StripeSubscription } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";
import { refundWhole } from "./refund-whole.ts";
import { isLive } from "./subscription-status.ts";

type Deps = Pick<SyncDeps, "stripe" | "logger">;

/** Refunds and ends a subscription that is live still. Returns it as it is then. Safe to repeat. */
export async function endUnwanted(
  deps: Deps,
  { id }: Pick<StripeSubscription, "id">,
  reason: "duplicate" | "account deleted",
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

async function refundInvoice(
  deps: Deps,
  { id, amountPaid }: StripeInvoice,
  reason: string,
): Promise<void> {
  const paymentIntentIds = await deps.stripe.listInvoicePaymentIntents(id);
  // Where several paid it, nobody tells here how much each did.
  const paid = paymentIntentIds.length === 1 ? amountPaid : null;
  for (const paymentIntentId of paymentIntentIds)
    await refundWhole(deps, { paymentIntentId, orderKey: `unwanted:${id}`, reason }, paid);
}
