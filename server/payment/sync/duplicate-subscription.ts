// Two tabs, two subscriptions: the second is ended at Stripe and its payments given back.
import { isRefusal } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";

type Deps = Pick<SyncDeps, "stripe" | "logger">;

/** Refunds and ends a second live subscription. Returns it as it is then. Safe to repeat. */
export async function endDuplicate(
  deps: Deps,
  subscription: StripeSubscription,
): Promise<StripeSubscription> {
  const { stripe, logger } = deps;
  logger.warn({ subscriptionId: subscription.id }, "second live subscription ended");
  // Money first: if this stops half-way the subscription is still live and the next sync goes on.
  // All of it: it may have been switched or renewed before it was heard of.
  const filter = { customerId: subscription.customerId, status: "paid", limit: 100 } as const;
  for (const invoice of await stripe.listInvoices(filter))
    if (invoice.subscriptionId === subscription.id && invoice.amountPaid > 0)
      await refundInvoice(deps, subscription.id, invoice.id);
  return stripe.cancelSubscription(subscription.id, `duplicate:${subscription.id}`);
}

async function refundInvoice(
  { stripe, logger }: Deps,
  subscriptionId: string,
  invoiceId: string,
): Promise<void> {
  for (const paymentIntentId of await stripe.listInvoicePaymentIntents(invoiceId)) {
    if ((await stripe.listRefunds(paymentIntentId)).length > 0) continue;
    const order = { paymentIntentId, orderKey: `duplicate:${invoiceId}`, reason: "duplicate" };
    try {
      await stripe.createRefund(order, `duplicate-refund:${invoiceId}:${paymentIntentId}`);
    } catch (error) {
      // Refused for good: disputed, so the bank has the money. What goes on billing has to end all the same.
      if (!isRefusal(error, "invalid")) throw error;
      logger.error({ err: error, subscriptionId }, "second subscription not refunded");
    }
  }
}
