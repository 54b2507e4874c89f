// What usage adds up to: by feature, by day in the caller's time zone, and when the credits will be gone.
import { invalidField } from "../lib/errors.ts";
import { createGate, type Gate } from "../lib/gate.ts";
import { DAY_MS, HOUR_MS } from "../lib/time.ts";
import type { Balances } from "./balances.ts";
import type { UsageLine } from "../ledger/totals/ports.ts";
import type { BalanceRecord, CreditInput, CreditOutput } from "./credit.types.ts";
import { type LocalClock, localClock } from "./local-days.ts";
import type { CreditStore } from "./ports.ts";

const DEFAULT_DAYS = 30;
const MAX_DAYS = 366;
/** A year in which a country put its clocks back for good is that much longer. */
const CLOCK_CHANGE_MS = 3 * HOUR_MS;
const FORESEEABLE_DAYS = 3_650;
/** Nothing was used before, and databases write no later year. */
const EARLIEST_MS = Date.UTC(1970, 0, 1);
const LATEST_MS = Date.UTC(9999, 0, 1);

/** A year takes up to a dozen statements: most connections are left to other requests. */
const GATE = { atOnce: 4, perKey: 20, maxWaiting: 200, maxWaitMs: 10_000 };

type Input = CreditInput<"usage">;

interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What was used of one feature on one local day. */
interface DatedLine extends UsageLine {
  readonly date: string;
}

interface Deps {
  readonly store: Pick<CreditStore, "usage">;
  readonly balances: Pick<Balances, "read">;
  readonly now: () => number;
}

/** Returns `credit.usage`, of which few run at once. Days without usage are left out. */
export function createUsage(
  deps: Deps,
): (userId: string, input: Input) => Promise<CreditOutput<"usage">> {
  const gate = createGate(GATE);
  return (userId, input) => readUsage(deps, gate, userId, input);
}

async function readUsage(
  deps: Deps,
  gate: Gate,
  userId: string,
  input: Input,
): Promise<CreditOutput<"usage">> {
  const nowMs = deps.now();
  const clock = localClock(input.timeZone);
  const range = rangeOf(input, clock, nowMs);
  // Without an end nothing is cut off, not even what an instance with a faster clock has just written.
  const readToMs = input.to === undefined ? range.toMs + DAY_MS : range.toMs;
  const lines = await gate.run(userId, () =>
    readLines(deps.store, userId, { fromMs: range.fromMs, toMs: readToMs }, clock),
  );
  const balance = await deps.balances.read(userId);
  const perDay = creditsPerDay(lines, Math.min(range.toMs, nowMs));
  const endMs = runsOutAt(balance, perDay, nowMs);
  return {
    totalCredits: sum(lines),
    byFeature: byFeature(lines),
    daily: daily(lines),
    runsOutOn: endMs === null ? null : clock.dateOf(endMs),
  };
}

/** Throws VALIDATION_FAILED for a range that is empty, longer than a year, or outside the years 1970 to 9998. */
function rangeOf({ from, to }: Input, clock: LocalClock, nowMs: number): Range {
  const momentOf = (field: string, text: string, daysLater: number): number => {
    const roughMs = Date.parse(text);
    if (!(roughMs >= EARLIEST_MS && roughMs < LATEST_MS))
      throw invalidField(field, "Use a year between 1970 and 9998.");
    return text.includes("T") ? roughMs : clock.startOf(text, daysLater);
  };
  const toMs = to === undefined ? nowMs : momentOf("to", to, 1);
  const fromMs = from === undefined ? toMs - DEFAULT_DAYS * DAY_MS : momentOf("from", from, 0);
  if (fromMs >= toMs) throw invalidField("from", "It has to lie before `to`.");
  if (toMs - fromMs > MAX_DAYS * DAY_MS + CLOCK_CHANGE_MS)
    throw invalidField("from", `At most ${MAX_DAYS} days.`);
  return { fromMs, toMs };
}

/** Added up by the database, so that a year of calls is at most as many rows as days and features. */
async function readLines(
  store: Pick<CreditStore, "usage">,
  userId: string,
  range: Range,
  clock: LocalClock,
): Promise<DatedLine[]> {
  const lines: DatedLine[] = [];
  for (const { startMs, endMs, dates } of clock.runs(range.fromMs, range.toMs)) {
    const rows = await store.usage(userId, {
      originMs: startMs,
      fromMs: Math.max(startMs, range.fromMs),
      toMs: Math.min(endMs, range.toMs),
    });
    for (const row of rows) {
      // A last day that is longer than 24 hours keeps all of them.
      const date = dates[Math.min(row.day, dates.length - 1)] ?? "";
      lines.push({ ...row, date });
    }
  }
  return lines;
}

function sum(lines: readonly UsageLine[]): number {
  return lines.reduce((total, { credits }) => total + credits, 0);
}

function byFeature(lines: readonly UsageLine[]) {
  const features = new Map<string, { feature: string; credits: number; calls: number }>();
  for (const { feature, credits, calls } of lines) {
    const line = features.get(feature) ?? { feature, credits: 0, calls: 0 };
    features.set(feature, {
      feature,
      credits: line.credits + credits,
      calls: line.calls + calls,
    });
  }
  return [...features.values()].sort(
    (a, b) => b.credits - a.credits || a.feature.localeCompare(b.feature),
  );
}

function daily(lines: readonly DatedLine[]) {
  const days = new Map<string, number>();
  for (const { date, credits } of lines) days.set(date, (days.get(date) ?? 0) + credits);
  return [...days]
    .map(([date, credits]) => ({ date, credits }))
    .sort((a, b) => (a.date < b.date ? -1 : 1));
}

/** The pace since the first use in the range, over a day at least, so that one busy hour is not taken for a habit. */
function creditsPerDay(lines: readonly UsageLine[], untilMs: number): number {
  if (lines.length === 0) return 0;
  const firstMs = lines.reduce((first, { firstAtMs }) => Math.min(first, firstAtMs), untilMs);
  return sum(lines) / Math.max(1, (untilMs - firstMs) / DAY_MS);
}

/**
 * When the credits run out at `perDay`: lots are spent in order, and lost when they expire.
 * Null when nothing is used, or not within ten years.
 */
export function runsOutAt(
  balance: Pick<BalanceRecord, "credits" | "lots">,
  perDay: number,
  nowMs: number,
): number | null {
  if (balance.credits <= 0) return nowMs;
  if (perDay <= 0) return null;
  let atMs = nowMs;
  let left = balance.credits;
  for (const { remaining, expiresAtMs } of balance.lots) {
    const emptyMs = atMs + (remaining / perDay) * DAY_MS;
    atMs = Math.max(atMs, Math.min(emptyMs, expiresAtMs ?? Number.POSITIVE_INFINITY));
    left -= remaining;
  }
  // What lies in lots beyond those a balance lists is spent last.
  if (left > 0) atMs += (left / perDay) * DAY_MS;
  return atMs - nowMs > FORESEEABLE_DAYS * DAY_MS ? null : atMs;
}
