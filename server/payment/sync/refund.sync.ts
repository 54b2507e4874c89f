// Refunds and disputes by their payment intent, whatever it paid for; the purchase is settled first, should its event be late.
import type { PaymentKey } from "../payment.types.ts";
import { unlessMissing } from "../stripe/errors.ts";
import { allOf, ignored, type SyncDeps, type SyncEffect } from "./apply-sync.ts";
import { checkoutEffect } from "./checkout.sync.ts";
import { invoiceEffect } from "./invoice.sync.ts";
import { paymentRefundsEffect } from "./payment-refunds.ts";
import { returnedCreditsEffect } from "./returned-credits.ts";

/** Reads what has gone back of what a payment intent paid. */
export async function refundEffect(deps: SyncDeps, paymentIntentId: string): Promise<SyncEffect> {
  const { store, stripe } = deps;
  const known = await store.payments.find({ stripePaymentId: paymentIntentId });
  if (known !== null && known.paidAt !== null) {
    const { userId, stripeInvoiceId, stripeSessionId } = known;
    if (stripeInvoiceId !== null)
      return allOf(
        userId,
        await invoiceRefundEffects(deps, stripeInvoiceId, paymentIntentId, userId),
      );
    const key = { stripeSessionId: stripeSessionId ?? "" };
    return paymentRefundsEffect(deps, { key, userId, paymentIntentId, invoice: null });
  }
  const session = await unlessMissing(stripe.findCheckoutByPaymentIntent(paymentIntentId), null);
  if (session !== null) {
    const purchase = await checkoutEffect(deps, session.id);
    if (purchase.kind === "ignored") return purchase;
    const { userId } = purchase;
    const key: PaymentKey = { stripeSessionId: session.id };
    const refunds = { key, userId, paymentIntentId, invoice: null };
    return allOf(userId, [purchase, await paymentRefundsEffect(deps, refunds)]);
  }
  const invoiceId = await unlessMissing(stripe.findInvoiceByPaymentIntent(paymentIntentId), null);
  if (invoiceId === null) return ignored("The payment is not one of this server's.");
  const purchase = await invoiceEffect(deps, invoiceId);
  if (purchase.kind === "ignored") return purchase;
  const { userId } = purchase;
  const refunds = await invoiceRefundEffects(deps, invoiceId, paymentIntentId, userId);
  return allOf(userId, [purchase, ...refunds]);
}

/** What has gone back of an invoice's payment, with what it means for the subscription's other payments. */
async function invoiceRefundEffects(
  deps: SyncDeps,
  invoiceId: string,
  paymentIntentId: string,
  userId: string,
): Promise<SyncEffect[]> {
  // Gone at Stripe (a sandbox started again): its refunds may still be known.
  const invoice = await unlessMissing(deps.stripe.getInvoice(invoiceId), null);
  const key = { stripeInvoiceId: invoiceId };
  return [
    await paymentRefundsEffect(deps, { key, userId, paymentIntentId, invoice }),
    returnedCreditsEffect(userId, invoiceId),
  ];
}
