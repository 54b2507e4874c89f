// Refunds ordered by an administrator: once per key, at Stripe first, then synced like any other refund.
import { paymentState } from "../../shared/src/payment.ts";
import { AppError, assert, invalidField, notFound } from "../lib/errors.ts";
import { totalPaid } from "./catalog/kept-credits.ts";
import type { Payment, PaymentAdminOutput, RefundOrder } from "./payment.types.ts";
import { refusalOf } from "./stripe/errors.ts";
import type { StripePort, StripeRefund } from "./stripe/port.ts";
import type { SyncDeps } from "./sync/apply-sync.ts";
import { sumRefunds } from "./sync/payment-refunds.ts";
import { syncWithStripe } from "./sync/sync.ts";

/** Stands for an order without an amount. */
const ALL = "all";

/** See PaymentService.refundPayment. */
export async function refundPayment(
  deps: SyncDeps,
  order: RefundOrder,
): Promise<PaymentAdminOutput<"refundPayment">> {
  const { store, stripe, now } = deps;
  const payment = await store.payments.find({ id: order.paymentId });
  if (payment === null) throw notFound("payment");
  const { id: paymentId, paidAt, stripePaymentId: paymentIntentId } = payment;
  if (paidAt === null || paymentIntentId === null)
    throw AppError.of("CONFLICT", "Nothing was paid here, so nothing can be refunded.");
  const orderKey = `${paymentId}:${order.idempotencyKey}`;
  const refunds = await stripe.listRefunds(paymentIntentId);
  const leftAmount = amountLeft(payment, refunds);
  const refund =
    findOrdered(refunds, orderKey, order) ??
    (await createRefund(stripe, paymentIntentId, orderKey, { ...order, leftAmount }));
  await syncWithStripe(deps, { kind: "refund", paymentIntentId }, (tx) =>
    tx.auditRefund({
      refundId: refund.id,
      amount: refund.amount,
      paymentId,
      actorId: order.actorId,
      reason: order.reason ?? null,
      at: new Date(now()),
    }),
  );
  const after = await store.payments.find({ id: paymentId });
  assert(after !== null, "a paid payment stays");
  return {
    refundId: refund.id,
    status: refund.status,
    paymentStatus: paymentState.parse(after.status),
    refundedAmount: after.refundedAmount,
  };
}

/**
 * Returns the refund this order has already made, if any. Stripe forgets keys after a day or so, but the refund itself
 * remembers its order for good. Throws IDEMPOTENCY_CONFLICT.
 */
function findOrdered(
  refunds: readonly StripeRefund[],
  orderKey: string,
  order: RefundOrder,
): StripeRefund | undefined {
  const refund = refunds.find((one) => one.orderKey === orderKey);
  if (refund === undefined) return undefined;
  // A refund that does not state its order is from an older release: its amount may have been all that was left.
  const first = refund.ordered ?? (order.amountMinorUnits === undefined ? ALL : `${refund.amount}`);
  if (first !== orderedBy(order))
    throw AppError.of("IDEMPOTENCY_CONFLICT", "This key was used for another amount.");
  return refund;
}

/** The order as stored with the refund: "all that is left" is a different order from the same sum as a number. */
function orderedBy({ amountMinorUnits }: RefundOrder): string {
  return amountMinorUnits === undefined ? ALL : `${amountMinorUnits}`;
}

/** The amount left to refund. Money already given back by a credit note is not refunded again. */
function amountLeft(payment: Payment, refunds: readonly StripeRefund[]): number {
  const refunded = sumRefunds(refunds);
  const kept = totalPaid(payment) - payment.creditedAmount - refunded;
  return Math.min(payment.amount - refunded, kept);
}

/** Throws CONFLICT (nothing left, refused), VALIDATION_FAILED (more than is left), IDEMPOTENCY_CONFLICT. */
async function createRefund(
  stripe: StripePort,
  paymentIntentId: string,
  orderKey: string,
  order: RefundOrder & { readonly leftAmount: number },
): Promise<StripeRefund> {
  const { amountMinorUnits, leftAmount, reason = null } = order;
  // "All that is left" is sent as a number, so that exactly the amount checked here is ordered.
  const amount = amountMinorUnits ?? leftAmount;
  if (leftAmount <= 0) throw AppError.of("CONFLICT", "This payment is refunded already.");
  const limit = `At most ${leftAmount} is left to refund.`;
  if (amount > leftAmount) throw invalidField("amount", limit, limit);
  try {
    return await stripe.createRefund(
      { paymentIntentId, amount, orderKey, ordered: orderedBy(order), reason },
      `refund:${orderKey}`,
    );
  } catch (error) {
    const refusal = refusalOf(error)?.refusal;
    if (refusal === "keyReused") {
      const message = "This key was used for another refund.";
      throw AppError.of("IDEMPOTENCY_CONFLICT", message, undefined, error);
    }
    if (refusal === "invalid")
      throw AppError.of("CONFLICT", "Stripe refused this refund.", undefined, error);
    throw error;
  }
}
