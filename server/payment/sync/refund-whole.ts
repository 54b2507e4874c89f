// Money that was taken and buys nothing here: all of it goes back.
import { isRefusal } from "../stripe/errors.ts";
import type { StripePort } from "../stripe/port.ts";
import type { SyncDeps } from "./apply-sync.ts";
import { sumRefunds } from "./payment-refunds.ts";

/**
 * Refunds what is left of a payment of `paid` minor units; null where that is unknown: then something refunded counts as
 * all of it. Safe to repeat.
 */
export async function refundWhole(
  { stripe, logger }: Pick<SyncDeps, "stripe" | "logger">,
  order: Parameters<StripePort["createRefund"]>[0],
  paid: number | null,
): Promise<void> {
  const { paymentIntentId } = order;
  const refunds = await stripe.listRefunds(paymentIntentId);
  if (sumRefunds(refunds) >= (paid ?? 1)) return;
  try {
    await stripe.createRefund(order, `refund-whole:${paymentIntentId}:${refunds.length}`);
  } catch (error) {
    // Refused for good: disputed, so the bank has the money. Whatever waits for this has to go on all the same.
    if (!isRefusal(error, "invalid")) throw error;
    logger.error({ err: error, paymentIntentId }, "payment that buys nothing not refunded");
  }
}
