// Owns refunds ordered by an administrator: once per key, at Stripe first, then settled like any other refund.
import { AppError } from "../lib/errors.ts";
import type { Fulfilment } from "./sync/sync.ts";
import { paidInAll } from "./catalog/kept-credits.ts";
import { refundedOf } from "./sync/refund.sync.ts";
import type { StripeRefund } from "./stripe/port.ts";
import { refusalOf } from "./stripe/errors.ts";
import type { PaymentDeps } from "./sync/sync-transaction.ts";

/** What is ordered. Without an amount: all that is left. */
export interface RefundOrder {
  readonly paymentId: string;
  readonly amountMinorUnits?: number;
  readonly idempotencyKey: string;
  readonly reason?: string;
  readonly actorId: string;
}

/** Makes the order of refunds. */
export function createRefundOrders(work: PaymentDeps, fulfilment: Fulfilment) {
  const { stripe } = work;
  const { models } = work.database;

  async function orderNew(
    paymentIntentId: string,
    order: RefundOrder,
    orderKey: string,
    leftAmount: number,
  ): Promise<StripeRefund> {
    // All that is left is said as a number: what was looked at is what is ordered.
    const amount = order.amountMinorUnits ?? leftAmount;
    if (leftAmount <= 0) throw AppError.of("CONFLICT", "This payment is refunded already.");
    if (amount > leftAmount)
      throw AppError.of("VALIDATION_FAILED", `At most ${leftAmount} is left to refund.`, {
        fields: { amount: [`At most ${leftAmount} is left to refund.`] },
      });
    try {
      return await stripe.createRefund(
        { paymentIntentId, amount, orderKey, reason: order.reason ?? null },
        `refund:${orderKey}`,
      );
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal?.refusal === "keyReused")
        throw AppError.of(
          "IDEMPOTENCY_CONFLICT",
          "This key was used for another refund.",
          undefined,
          error,
        );
      if (refusal?.refusal === "invalid")
        throw AppError.of("CONFLICT", "Stripe refused this refund.", undefined, error);
      throw error;
    }
  }

  /** See PaymentService.refundPayment. */
  return async function refundPayment(order: RefundOrder) {
    const payment = await models.payment.findUnique({ where: { id: order.paymentId } });
    if (payment === null) throw AppError.of("NOT_FOUND", "There is no such payment.");
    if (payment.paidAt === null || payment.stripePaymentId === null)
      throw AppError.of("CONFLICT", "Nothing was paid here, so nothing can be refunded.");
    const paymentIntentId = payment.stripePaymentId;
    const orderKey = `${payment.id}:${order.idempotencyKey}`;
    const refunds = await stripe.listRefunds(paymentIntentId);
    // Stripe forgets keys after a day or so; the refund itself remembers its order for good.
    const before = refunds.find((refund) => refund.orderKey === orderKey);
    if (
      before !== undefined &&
      order.amountMinorUnits !== undefined &&
      before.amount !== order.amountMinorUnits
    )
      throw AppError.of("IDEMPOTENCY_CONFLICT", "This key was used for another amount.");
    const refunded = refundedOf(refunds);
    // What a credit note has given back is not refunded once more.
    const keptAmount = paidInAll(payment) - payment.creditedAmount - refunded;
    const leftAmount = Math.min(payment.amount - refunded, keptAmount);
    const refund = before ?? (await orderNew(paymentIntentId, order, orderKey, leftAmount));
    await fulfilment.fulfil({ kind: "moneyBack", paymentIntentId }, async (tx) => {
      // Once per refund, with the rows it changed; the order's own line is the administrator's service's.
      const id = refund.id.slice(-36);
      if ((await tx.models.auditLog.findUnique({ where: { id } })) !== null) return;
      await tx.models.auditLog.create({
        data: {
          id,
          actorId: order.actorId,
          action: "payment.refund",
          targetType: "payment",
          targetId: payment.id,
          reason: order.reason ?? null,
          detail: JSON.stringify({ refundId: refund.id, amount: refund.amount }),
          createdAt: new Date(work.now()),
        },
      });
    });
    const after = await models.payment.findUniqueOrThrow({ where: { id: payment.id } });
    return { refund, payment: after };
  };
}
