// Calculates a coupon's discount.
import type { Coupon } from "../objects/types.ts";

/** The discount a coupon gives on `amount` (minor units), never more than the amount. */
export function discountOn(coupon: Coupon, amount: number): number {
  const off =
    coupon.percent_off === null
      ? (coupon.amount_off ?? 0)
      : Math.round((amount * coupon.percent_off) / 100);
  return Math.max(0, Math.min(amount, off));
}
