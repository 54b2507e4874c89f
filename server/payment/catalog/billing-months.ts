// Billing dates, in UTC. Periods are counted from an anchor, never from the previous period.

/**
 * Returns `anchor` plus `months`, keeping the anchor's day and time, or the last day of a month that lacks that day:
 * Jan 31 + 1 = Feb 28 (29), + 2 = Mar 31. Counting from the anchor keeps the 31st, which adding
 * step by step would lose.
 */
export function addMonths(anchor: Date, months: number): Date {
  const year = anchor.getUTCFullYear();
  const month = anchor.getUTCMonth() + months;
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return new Date(
    Date.UTC(
      year,
      month,
      Math.min(anchor.getUTCDate(), lastDay),
      anchor.getUTCHours(),
      anchor.getUTCMinutes(),
      anchor.getUTCSeconds(),
      anchor.getUTCMilliseconds(),
    ),
  );
}

/** Returns the first billing date after `moment`: `anchor` plus a whole (possibly negative) number of months. */
export function nextBillingDate(anchor: Date, moment: Date): Date {
  let months =
    (moment.getUTCFullYear() - anchor.getUTCFullYear()) * 12 +
    (moment.getUTCMonth() - anchor.getUTCMonth()) -
    1;
  // At most two iterations: the guess falls in the month before `moment`.
  while (addMonths(anchor, months) <= moment) months += 1;
  return addMonths(anchor, months);
}

/** Whether `moment` is `anchor` plus a whole number of months. */
export function isBillingDate(anchor: Date, moment: Date): boolean {
  return nextBillingDate(anchor, new Date(moment.getTime() - 1)).getTime() === moment.getTime();
}

/** Returns the billing dates strictly between `from` and `to`, oldest first; at most 120. */
export function billingDatesBetween(anchor: Date, from: Date, to: Date): Date[] {
  const found: Date[] = [];
  for (let at = nextBillingDate(anchor, from); at < to && found.length < 120; ) {
    found.push(at);
    at = nextBillingDate(anchor, at);
  }
  return found;
}
