// Credits that are granted late, or returned, are given time to be spent.
import { addMonths } from "../catalog/billing-months.ts";

/** Returns when credits granted now expire: at `own`, but no sooner than in a month; null (never) stays null. */
export function extendExpiry<Own extends Date | null>(own: Own, nowMs: number): Own | Date {
  if (own === null) return own;
  const inAMonth = addMonths(new Date(nowMs), 1);
  return own > inAMonth ? own : inAMonth;
}
