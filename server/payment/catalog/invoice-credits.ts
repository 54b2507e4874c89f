// Owns how many credits a paid invoice is worth, and when: credits follow the money, line by line (docs/decisions).
import { addMonths, anchoredBetween, nextAnchored } from "./billing-months.ts";

/** One line of a paid invoice with what its price stands for. Money in minor units, negative when given back. */
export interface PaidLine {
  readonly amount: number;
  /** What the price costs for a whole interval. */
  readonly unitAmount: number;
  readonly interval: "month" | "year";
  /** Credits the plan gives per month. */
  readonly monthlyCredits: number;
  readonly periodStart: Date;
  readonly periodEnd: Date;
}

/** Credits that fall due together. `index` 0 is due with the payment, the others month by month. */
export interface Slice {
  readonly index: number;
  readonly credits: number;
  readonly dueAt: Date;
  readonly expiresAt: Date;
}

/** An exact fraction; the sums below must not round before the end. */
interface Fraction {
  readonly top: bigint;
  readonly bottom: bigint;
}

const ZERO: Fraction = { top: 0n, bottom: 1n };

function plus(a: Fraction, b: Fraction): Fraction {
  if (a.bottom === b.bottom) return { top: a.top + b.top, bottom: a.bottom };
  return { top: a.top * b.bottom + b.top * a.bottom, bottom: a.bottom * b.bottom };
}

function floorAtZero({ top, bottom }: Fraction): number {
  return top <= 0n ? 0 : Number(top / bottom);
}

/** All the credits of a line: the plan's credits for the share of the price that the line is. */
function totalOf(line: PaidLine): Fraction {
  const months = line.interval === "year" ? 12n : 1n;
  const whole = BigInt(line.monthlyCredits) * months;
  if (line.unitAmount <= 0) return line.amount < 0 ? ZERO : { top: whole, bottom: 1n };
  return { top: whole * BigInt(line.amount), bottom: BigInt(line.unitAmount) };
}

/** What of a line is due once all but `monthsLeft` of its months have begun. */
function dueOf(line: PaidLine, monthsLeft: number): Fraction {
  const total = totalOf(line);
  if (line.interval === "month") return total;
  const sign = line.amount < 0 ? -1n : 1n;
  const later = sign * BigInt(line.monthlyCredits) * BigInt(monthsLeft);
  return plus(total, { top: -later, bottom: 1n });
}

/**
 * The credits of a paid invoice.
 *
 * Each line is worth `credits per month x months of the interval x amount / price`: a full line the plan's credits, a
 * prorated one its share, money given back for unused time a negative one. So an upgrade at share r of the period gives
 * floor((new - old) x r): exactly what was paid for, however late it comes and whatever came before it.
 * A monthly line is due at once. A yearly line is due month by month on the anchor's day: after its last k months are
 * taken off, `total - k x credits per month` is due, so that the sum is exact and every whole month gives the plan's
 * credits. What is due never falls, is never below zero, and ends at floor(sum of all lines).
 * Credits expire one month after the month they are for.
 */
export function slicesOf(lines: readonly PaidLine[], anchor: Date): Slice[] {
  if (lines.length === 0) return [];
  const start = new Date(Math.min(...lines.map((line) => line.periodStart.getTime())));
  const ends = lines.map((line) => line.periodEnd.getTime());
  const yearly = lines.filter((line) => line.interval === "year");
  const yearlyEnd = Math.max(...yearly.map((line) => line.periodEnd.getTime()));
  const laterStarts =
    yearly.length === 0 ? [] : anchoredBetween(anchor, start, new Date(yearlyEnd));
  const total = floorAtZero(lines.map(totalOf).reduce(plus, ZERO));

  let granted = 0;
  return [start, ...laterStarts].map((dueAt, index) => {
    const due = lines
      .map((line) => dueOf(line, monthsLeft(line, anchor, dueAt)))
      .reduce(plus, ZERO);
    const upToNow = Math.min(total, Math.max(granted, floorAtZero(due)));
    const credits = upToNow - granted;
    granted = upToNow;
    const periodEnd = laterStarts[index] ?? new Date(Math.max(...ends));
    return { index, credits, dueAt, expiresAt: oneMonthAfter(anchor, periodEnd) };
  });
}

function monthsLeft(line: PaidLine, anchor: Date, now: Date): number {
  if (line.interval === "month") return 0;
  const from = now > line.periodStart ? now : line.periodStart;
  return anchoredBetween(anchor, from, line.periodEnd).length;
}

/** One month after a period's end: the next anchored day, or a plain month when the end is not on the anchor's days. */
function oneMonthAfter(anchor: Date, periodEnd: Date): Date {
  const next = nextAnchored(anchor, periodEnd);
  const onAnchor = nextAnchored(anchor, new Date(periodEnd.getTime() - 1)).getTime();
  return onAnchor === periodEnd.getTime() ? next : addMonths(periodEnd, 1);
}
