// Billing periods are counted from an anchor, in UTC, never from the period before.

/**
 * `anchor` plus `months`, on the anchor's day and time or the month's last day where there is no such day:
 * Jan 31 + 1 = Feb 28 (29), + 2 = Mar 31. Counting from the anchor keeps the 31st, which step-by-step adding loses.
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

/** The first moment after `moment` that is `anchor` plus a whole number of months (negative ones too). */
export function nextBillingDate(anchor: Date, moment: Date): Date {
  let months =
    (moment.getUTCFullYear() - anchor.getUTCFullYear()) * 12 +
    (moment.getUTCMonth() - anchor.getUTCMonth()) -
    1;
  // At most three steps: the guess is at most one month early and a clamped day adds one.
  while (addMonths(anchor, months) <= moment) months += 1;
  return addMonths(anchor, months);
}

/** Whether `moment` is `anchor` plus a whole number of months. */
export function isBillingDate(anchor: Date, moment: Date): boolean {
  return nextBillingDate(anchor, new Date(moment.getTime() - 1)).getTime() === moment.getTime();
}

/** Every anchored moment strictly between `from` and `to`, oldest first; at most 120. */
export function billingDatesBetween(anchor: Date, from: Date, to: Date): Date[] {
  const found: Date[] = [];
  for (let at = nextBillingDate(anchor, from); at < to && found.length < 120; ) {
    found.push(at);
    at = nextBillingDate(anchor, at);
  }
  return found;
}
