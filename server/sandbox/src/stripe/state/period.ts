// Billing periods: whole intervals counted from the anchor, so that dates never drift at month ends and leap days.
import type { Recurring } from "../objects/types.ts";

const DAY_SECONDS = 86_400;

function addMonths(anchorSeconds: number, months: number): number {
  const anchor = new Date(anchorSeconds * 1000);
  const first = new Date(anchor);
  first.setUTCDate(1);
  first.setUTCMonth(first.getUTCMonth() + months);
  const lastDay = new Date(
    Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0),
  ).getUTCDate();
  // Clamped to the month's end, but always starting from the anchor's day: 31 Jan, 28 Feb, 31 Mar.
  first.setUTCDate(Math.min(anchor.getUTCDate(), lastDay));
  return Math.floor(first.getTime() / 1000);
}

/** The time `count` intervals after the anchor, in unix seconds. */
export function boundary(anchorSeconds: number, recurring: Recurring, count: number): number {
  const steps = count * recurring.interval_count;
  switch (recurring.interval) {
    case "day":
      return anchorSeconds + steps * DAY_SECONDS;
    case "week":
      return anchorSeconds + steps * 7 * DAY_SECONDS;
    case "month":
      return addMonths(anchorSeconds, steps);
    case "year":
      return addMonths(anchorSeconds, steps * 12);
  }
}

/** The period that contains `at` (start inclusive, end exclusive). */
export function periodAt(
  anchorSeconds: number,
  recurring: Recurring,
  at: number,
): { start: number; end: number } {
  // The estimate may be off in either direction (February is short), so walk from it to the right period.
  const length = boundary(anchorSeconds, recurring, 1) - anchorSeconds;
  let count = Math.max(0, Math.floor((at - anchorSeconds) / length));
  while (count > 0 && boundary(anchorSeconds, recurring, count) > at) count -= 1;
  while (boundary(anchorSeconds, recurring, count + 1) <= at) count += 1;
  return {
    start: boundary(anchorSeconds, recurring, count),
    end: boundary(anchorSeconds, recurring, count + 1),
  };
}
