import { addMonths, anchoredBetween, isAnchored, nextAnchored } from "./billing-months.ts";

/** One line of a paid invoice with what its price stands for. Money in minor units, negative when given back. */
export interface PaidLine {
  readonly amount: number;
  /** What the price costs for a whole interval. */
  readonly unitAmount: number;
  readonly interval: "month" | "year";
  /** Credits the plan gives per month. */
  readonly monthlyCredits: number;
  /** How many of the plan the line is for; defaults to 1. */
  readonly quantity?: number;
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

/** Rounded down, below zero too: what is given back takes the whole credit it began. */
function floorOf({ top, bottom }: Fraction): number {
  const whole = top / bottom;
  return Number(top < 0n && top % bottom !== 0n ? whole - 1n : whole);
}

/** All that an invoice's lines buy, later months included; negative when it gives back more than it sells. */
export function worthOf(lines: readonly PaidLine[]): number {
  return floorOf(lines.map(totalOf).reduce(plus, ZERO));
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
  const perMonth = BigInt(line.monthlyCredits) * BigInt(line.quantity ?? 1);
  const later = sign * perMonth * BigInt(monthsLeft);
  return plus(total, { top: -later, bottom: 1n });
}

/** What has fallen due by a moment, over all lines; below zero while more was given back than sold. */
interface Due {
  readonly dueAt: Date;
  readonly periodEnd: Date;
  readonly credits: number;
}

function duesOf(lines: readonly PaidLine[], anchor: Date): Due[] {
  if (lines.length === 0) return [];
  const start = new Date(Math.min(...lines.map((line) => line.periodStart.getTime())));
  const end = new Date(Math.max(...lines.map((line) => line.periodEnd.getTime())));
  const longest = longestYearOf(lines);
  const laterStarts =
    longest === undefined
      ? []
      : anchoredBetween(anchorOf(longest, anchor), start, longest.periodEnd);
  const moments = [start, ...laterStarts];
  return moments.map((dueAt, index) => {
    const isLast = index === moments.length - 1;
    // A line whose months begin on another day has none left either once the last month of the longest begins.
    const due = lines.map((line) => dueOf(line, isLast ? 0 : monthsLeft(line, anchor, dueAt)));
    return {
      dueAt,
      periodEnd: laterStarts[index] ?? end,
      credits: floorOf(due.reduce(plus, ZERO)),
    };
  });
}

/** The yearly line that ends last: its months are the invoice's. */
function longestYearOf(lines: readonly PaidLine[]): PaidLine | undefined {
  return lines
    .filter(({ interval }) => interval === "year")
    .reduce<PaidLine | undefined>(
      (longest, line) =>
        longest === undefined || line.periodEnd > longest.periodEnd ? line : longest,
      undefined,
    );
}

/**
 * The day a line's months are counted from. That is the subscription's anchor, unless the anchor has moved since the line
 * was billed (a switch of interval moves it, and invoices are looked at later): then the line's own period tells.
 */
function anchorOf(line: PaidLine, anchor: Date): Date {
  if (isAnchored(anchor, line.periodEnd)) return anchor;
  const isWholeYear = addMonths(line.periodStart, 12).getTime() === line.periodEnd.getTime();
  return isWholeYear ? line.periodStart : line.periodEnd;
}

/**
 * The credits a paid invoice gives.
 *
 * Each line is worth `credits per month x months of the interval x amount / price`: a full line the plan's credits, a
 * prorated one its share, money given back for unused time a negative one. So an upgrade at share r of the period gives
 * floor((new - old) x r): exactly what was paid for, however late it comes and whatever came before it.
 * A monthly line is due at once. A yearly line is due month by month on the anchor's day: after its last k months are
 * taken off, `total - k x credits per month x quantity` is due, so that the sum is exact and every whole month gives the plan's
 * credits. What is given never falls and is never below zero; what an invoice gives back is `signedSlicesOf`'s.
 * Credits expire one month after the month they are for, or one month after `paidAt`, whichever is later.
 */
export function slicesOf(lines: readonly PaidLine[], anchor: Date, paidAt?: Date): Slice[] {
  const worth = worthOf(lines);
  const longest = longestYearOf(lines);
  const monthsFrom = longest === undefined ? anchor : anchorOf(longest, anchor);
  let granted = 0;
  return duesOf(lines, anchor).map(({ dueAt, periodEnd, credits: due }, index) => {
    // An invoice that gives back in all may still sell something first: a year that became months.
    const upToNow = Math.max(granted, worth < 0 ? due : Math.min(worth, due));
    const credits = upToNow - granted;
    granted = upToNow;
    const expiresAt = oneMonthAfter(monthsFrom, periodEnd);
    const paidUntil = paidAt === undefined ? expiresAt : addMonths(paidAt, 1);
    return { index, credits, dueAt, expiresAt: paidUntil > expiresAt ? paidUntil : expiresAt };
  });
}

/** The ledger's key of a slice: the payment's own for the first, one per month for the others. */
export function sliceKey(paymentId: string, slice: Pick<Slice, "index">): string {
  return slice.index === 0 ? `payment:${paymentId}` : `payment:${paymentId}:month:${slice.index}`;
}

/** The same moments with what each adds or, below zero, gives back; together `worthOf`. */
export function signedSlicesOf(
  lines: readonly PaidLine[],
  anchor: Date,
): Pick<Slice, "index" | "credits" | "dueAt">[] {
  let before = 0;
  return duesOf(lines, anchor).map(({ dueAt, credits: due }, index) => {
    const credits = due - before;
    before = due;
    return { index, credits, dueAt };
  });
}

function monthsLeft(line: PaidLine, anchor: Date, now: Date): number {
  if (line.interval === "month") return 0;
  const from = now > line.periodStart ? now : line.periodStart;
  return anchoredBetween(anchorOf(line, anchor), from, line.periodEnd).length;
}

/** One month after a period's end: the next anchored day, or a plain month when the end is not on the anchor's days. */
function oneMonthAfter(anchor: Date, periodEnd: Date): Date {
  return isAnchored(anchor, periodEnd) ? nextAnchored(anchor, periodEnd) : addMonths(periodEnd, 1);
}
