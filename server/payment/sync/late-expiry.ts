// Credits that come late, or come back, are there to be spent.
import { addMonths } from "../catalog/billing-months.ts";

/** When credits granted now expire: in their own time, but not within a month; null stays never. */
export function lateExpiry<Own extends Date | null>(own: Own, nowMs: number): Own | Date {
  if (own === null) return own;
  const inAMonth = addMonths(new Date(nowMs), 1);
  return own > inAMonth ? own : inAMonth;
}
