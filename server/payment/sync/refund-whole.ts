// Refunds in full a payment that buys nothing here.
import { isRefusal } from "../stripe/errors.ts";
import type { StripePort } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";
import { isPendingOrSucceeded, sumRefunds } from "./payment-refunds.ts";

/** The limit of failed refunds: where the card or account is gone, the next one would fail too. */
const MAX_FAILED = 3;

/**
 * Refunds what is left of a payment of `paid` minor units. If `paid` is null (unknown), any refund counts as all of it.
 * After three failed refunds it is left to an administrator. Safe to repeat.
 */
export async function refundWhole(
  { stripe, logger }: Pick<SyncDeps, "stripe" | "logger">,
  order: Parameters<StripePort["createRefund"]>[0],
  paid: number | null,
): Promise<void> {
  const { paymentIntentId } = order;
  const refunds = await stripe.listRefunds(paymentIntentId);
  if (sumRefunds(refunds) >= (paid ?? 1)) return;
  if (refunds.filter((refund) => !isPendingOrSucceeded(refund)).length >= MAX_FAILED) {
    logger.error(
      { paymentIntentId, orderKey: order.orderKey },
      "payment that buys nothing not refunded: its refunds failed; pay the customer back by another way",
    );
    return;
  }
  try {
    await stripe.createRefund(order, `refund-whole:${paymentIntentId}:${refunds.length}`);
  } catch (error) {
    // Refused for good, e.g. disputed, so the bank has the money. Whatever waits for this must continue all the same.
    if (!isRefusal(error, "invalid")) throw error;
    logger.error({ err: error, paymentIntentId }, "payment that buys nothing not refunded");
  }
}
