// Syncs refunds and disputes by payment intent, whatever it paid for; settles the purchase first, as it may be late.
import type { Payment } from "../payment.types.ts";
import { unlessMissing } from "../stripe/errors.ts";
import { allOf, ignored, type SyncDeps, type SyncEffect } from "./apply-sync.ts";
import { checkoutEffect } from "./checkout.sync.ts";
import { invoiceEffect } from "./invoice.sync.ts";
import { paymentRefundsEffect } from "./payment-refunds.ts";
import { returnedCreditsEffect } from "./returned-credits.ts";

/** Reads how much of a payment intent's payment has been given back. */
export async function refundEffect(deps: SyncDeps, paymentIntentId: string): Promise<SyncEffect> {
  const { store, stripe } = deps;
  const known = await store.payments.find({ stripePaymentId: paymentIntentId });
  if (known !== null && known.paidAt !== null)
    return knownRefundEffect(deps, known, paymentIntentId);
  const session = await unlessMissing(stripe.findCheckoutByPaymentIntent(paymentIntentId), null);
  if (session !== null) return checkoutEffect(deps, session.id, paymentIntentId);
  const invoiceId = await unlessMissing(stripe.findInvoiceByPaymentIntent(paymentIntentId), null);
  if (invoiceId === null) return ignored("The payment is not one of this server's.");
  return invoiceEffect(deps, invoiceId, paymentIntentId);
}

/** The same for a payment that is settled here. */
async function knownRefundEffect(
  deps: SyncDeps,
  { id, userId, stripeInvoiceId }: Payment,
  paymentIntentId: string,
): Promise<SyncEffect> {
  const refunds = { key: { id }, userId, paymentIntentIds: [paymentIntentId] };
  if (stripeInvoiceId === null) return paymentRefundsEffect(deps, { ...refunds, invoice: null });
  const whole = await invoiceEffect(deps, stripeInvoiceId, paymentIntentId);
  if (whole.kind === "effect") return whole;
  // The invoice or its subscription is gone at Stripe (a restarted sandbox); its refunds may still be known.
  const invoice = await unlessMissing(deps.stripe.getInvoice(stripeInvoiceId), null);
  return allOf(userId, [
    await paymentRefundsEffect(deps, { ...refunds, invoice }),
    returnedCreditsEffect(deps, userId, stripeInvoiceId),
  ]);
}
