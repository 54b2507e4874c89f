import type { BillingInterval } from "../../../shared/src/payment.ts";
import {
  addMonths,
  billingDatesBetween,
  isBillingDate,
  nextBillingDate,
} from "./billing-months.ts";

/** One line of a paid invoice, with what its price stands for. Money in minor units, negative when given back. */
export interface PaidLine {
  readonly amount: number;
  /** What the price costs for a whole interval; 0 if it is free or states no amount, so that each unit gives the whole. */
  readonly unitAmount: number;
  readonly interval: BillingInterval;
  /** Credits the plan gives per month. */
  readonly monthlyCredits: number;
  /** Units of the plan the line is for; defaults to 1. */
  readonly quantity?: number;
  readonly periodStart: Date;
  readonly periodEnd: Date;
}

/** Credits that fall due together. `index` 0 is due with the payment, the others month by month. */
export interface ScheduledGrant {
  readonly index: number;
  readonly credits: number;
  readonly dueAt: Date;
  readonly expiresAt: Date;
}

/** An exact fraction: the sums below must not round before the end. */
interface Fraction {
  readonly top: bigint;
  readonly bottom: bigint;
}

const ZERO: Fraction = { top: 0n, bottom: 1n };

function addFractions(a: Fraction, b: Fraction): Fraction {
  if (a.bottom === b.bottom) return { top: a.top + b.top, bottom: a.bottom };
  return { top: a.top * b.bottom + b.top * a.bottom, bottom: a.bottom * b.bottom };
}

/** Rounds down, also below zero, so that a credit that is partly given back is taken whole. */
function floorFraction({ top, bottom }: Fraction): number {
  const whole = top / bottom;
  return Number(top < 0n && top % bottom !== 0n ? whole - 1n : whole);
}

/** Returns all credits an invoice's lines buy, in later months too; negative when it gives back more than it sells. */
export function totalCredits(lines: readonly PaidLine[]): number {
  return floorFraction(lines.map(lineCredits).reduce(addFractions, ZERO));
}

/**
 * All the credits of a line: the plan's credits for the whole interval, times the line's share of the price. Without a
 * price there is no share: each unit gives the whole.
 */
function lineCredits(line: PaidLine): Fraction {
  const months = line.interval === "year" ? 12n : 1n;
  const whole = BigInt(line.monthlyCredits) * months;
  if (line.unitAmount <= 0)
    return line.amount < 0 ? ZERO : { top: whole * BigInt(line.quantity ?? 1), bottom: 1n };
  return { top: whole * BigInt(line.amount), bottom: BigInt(line.unitAmount) };
}

/** The part of a line's credits that is due once all but `monthsLeft` of its months have begun. */
function accruedCredits(line: PaidLine, monthsLeft: number): Fraction {
  const total = lineCredits(line);
  if (line.interval === "month") return total;
  const sign = line.amount < 0 ? -1n : 1n;
  const perMonth = BigInt(line.monthlyCredits) * BigInt(line.quantity ?? 1);
  const later = sign * perMonth * BigInt(monthsLeft);
  return addFractions(total, { top: -later, bottom: 1n });
}

/** The credits due by a moment, summed over all lines; negative while more was given back than sold. */
interface Accrual {
  readonly dueAt: Date;
  readonly periodEnd: Date;
  readonly credits: number;
}

function accrueCredits(lines: readonly PaidLine[], anchor: Date): Accrual[] {
  if (lines.length === 0) return [];
  const start = new Date(Math.min(...lines.map((line) => line.periodStart.getTime())));
  const end = new Date(Math.max(...lines.map((line) => line.periodEnd.getTime())));
  const lastYearly = findLastYearlyLine(lines);
  const laterStarts =
    lastYearly === undefined
      ? []
      : billingDatesBetween(anchorOf(lastYearly, anchor), start, lastYearly.periodEnd);
  const moments = [start, ...laterStarts];
  return moments.map((dueAt, index) => {
    const isLast = index === moments.length - 1;
    // From the last yearly line's last month on, no line has months left, even one whose months begin on another day.
    const due = lines.map((line) =>
      accruedCredits(line, isLast ? 0 : monthsLeft(line, anchor, dueAt)),
    );
    return {
      dueAt,
      periodEnd: laterStarts[index] ?? end,
      credits: floorFraction(due.reduce(addFractions, ZERO)),
    };
  });
}

/** The yearly line that ends last: its months are used for the whole invoice. */
function findLastYearlyLine(lines: readonly PaidLine[]): PaidLine | undefined {
  return lines
    .filter(({ interval }) => interval === "year")
    .reduce<PaidLine | undefined>(
      (lastYearly, line) =>
        lastYearly === undefined || line.periodEnd > lastYearly.periodEnd ? line : lastYearly,
      undefined,
    );
}

/**
 * The date a line's months are counted from: the subscription's anchor, unless that has moved since the line was billed
 * (a switch of interval moves it, and invoices are synced again later). Then it is derived from the line's own period.
 */
function anchorOf(line: PaidLine, anchor: Date): Date {
  if (isBillingDate(anchor, line.periodEnd)) return anchor;
  const isWholeYear = addMonths(line.periodStart, 12).getTime() === line.periodEnd.getTime();
  return isWholeYear ? line.periodStart : line.periodEnd;
}

/**
 * Returns the credits a paid invoice gives.
 *
 * Each line is worth `credits per month x months of the interval x amount / price`: a full line gives the plan's
 * credits, a prorated line its share, and money given back for unused time counts negative. So an upgrade at
 * share r of the period gives floor((new - old) x r): exactly what was paid for, however late it comes and
 * whatever came before it.
 * A monthly line is due immediately. A yearly line falls due month by month on the anchor's day: while k months
 * have yet to begin, `total - k x credits per month x quantity` is due, so the sum is exact and every whole month
 * gives the plan's credits. What is granted never decreases and is never below zero; `scheduleNetCredits` covers
 * what an invoice gives back.
 * Credits expire one month after the month they are for, or one month after `paidAt`, whichever is later.
 */
export function scheduleGrants(
  lines: readonly PaidLine[],
  anchor: Date,
  paidAt?: Date,
): ScheduledGrant[] {
  const worth = totalCredits(lines);
  const lastYearly = findLastYearlyLine(lines);
  const monthsFrom = lastYearly === undefined ? anchor : anchorOf(lastYearly, anchor);
  let granted = 0;
  return accrueCredits(lines, anchor).map(({ dueAt, periodEnd, credits: due }, index) => {
    // An invoice of negative worth may still sell something first, e.g. when a yearly plan became monthly.
    const upToNow = Math.max(granted, worth < 0 ? due : Math.min(worth, due));
    const credits = upToNow - granted;
    granted = upToNow;
    const expiresAt = oneMonthAfter(monthsFrom, periodEnd);
    const paidUntil = paidAt === undefined ? expiresAt : addMonths(paidAt, 1);
    return { index, credits, dueAt, expiresAt: paidUntil > expiresAt ? paidUntil : expiresAt };
  });
}

/** Returns a grant's ledger key: the payment's own for the first grant, one per month for the others. */
export function scheduledGrantKey(paymentId: string, grant: Pick<ScheduledGrant, "index">): string {
  return grant.index === 0 ? `payment:${paymentId}` : `payment:${paymentId}:month:${grant.index}`;
}

/** Returns the same moments with the credits each adds or, if negative, gives back. They sum to `totalCredits`. */
export function scheduleNetCredits(
  lines: readonly PaidLine[],
  anchor: Date,
): Pick<ScheduledGrant, "index" | "credits" | "dueAt">[] {
  let before = 0;
  return accrueCredits(lines, anchor).map(({ dueAt, credits: due }, index) => {
    const credits = due - before;
    before = due;
    return { index, credits, dueAt };
  });
}

function monthsLeft(line: PaidLine, anchor: Date, now: Date): number {
  if (line.interval === "month") return 0;
  const from = now > line.periodStart ? now : line.periodStart;
  return billingDatesBetween(anchorOf(line, anchor), from, line.periodEnd).length;
}

/** One month after a period's end: the next billing date, or a calendar month later if the end is no billing date. */
function oneMonthAfter(anchor: Date, periodEnd: Date): Date {
  return isBillingDate(anchor, periodEnd)
    ? nextBillingDate(anchor, periodEnd)
    : addMonths(periodEnd, 1);
}
