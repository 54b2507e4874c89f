// Usage summed by feature and by day in the caller's time zone, and a forecast of when the credits run out.
import { invalidField } from "../lib/errors.ts";
import { createBulkhead, type Bulkhead } from "../lib/bulkhead.ts";
import { DAY_MS, HOUR_MS } from "../lib/time.ts";
import type { Balances } from "./balances.ts";
import type { UsageLine } from "../ledger/totals/ports.ts";
import type { BalanceRecord, CreditInput, CreditOutput } from "./credit.types.ts";
import { type LocalClock, localClock } from "./local-days.ts";
import type { CreditStore } from "./ports.ts";

const DEFAULT_DAYS = 30;
const MAX_DAYS = 366;
/** A year in which a country set its clocks back for good can be this much longer. */
const CLOCK_CHANGE_MS = 3 * HOUR_MS;
const FORESEEABLE_DAYS = 3_650;
/** Nothing was used before 1970, and databases store no year after 9999. */
const EARLIEST_MS = Date.UTC(1970, 0, 1);
const LATEST_MS = Date.UTC(9999, 0, 1);

/** Leaves most connections to other requests, because a year takes long. */
const BULKHEAD = { concurrency: 4, perKey: 20, maxQueue: 200, maxWaitMs: 10_000 };

type Input = CreditInput<"usage">;

interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Usage of one feature on one local day. */
interface DatedLine extends UsageLine {
  readonly date: string;
}

interface Deps {
  readonly store: Pick<CreditStore, "usage" | "maxUsageDays">;
  readonly balances: Pick<Balances, "read">;
  readonly now: () => number;
}

/** Returns `credit.usage`, which runs few calls concurrently. Days without usage are omitted. */
export function createUsage(
  deps: Deps,
): (userId: string, input: Input) => Promise<CreditOutput<"usage">> {
  const bulkhead = createBulkhead(BULKHEAD);
  return (userId, input) => readUsage(deps, bulkhead, userId, input);
}

async function readUsage(
  deps: Deps,
  bulkhead: Bulkhead,
  userId: string,
  input: Input,
): Promise<CreditOutput<"usage">> {
  const nowMs = deps.now();
  const clock = localClock(input.timeZone);
  const range = rangeOf(input, clock, nowMs);
  // Without a requested end nothing is cut off, not even calls just written by an instance whose clock is ahead.
  const readToMs = input.to === undefined ? range.toMs + DAY_MS : range.toMs;
  const lines = await bulkhead.run(userId, () =>
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

/** Lets the database sum the calls, so that a year of them is at most one row per day and feature. */
async function readLines(
  store: Pick<CreditStore, "usage" | "maxUsageDays">,
  userId: string,
  range: Range,
  clock: LocalClock,
): Promise<DatedLine[]> {
  const runs = clock.runs(range.fromMs, range.toMs, store.maxUsageDays);
  const lines = await store.usage(
    userId,
    runs.map(({ startMs, endMs }) => ({
      originMs: startMs,
      fromMs: Math.max(startMs, range.fromMs),
      toMs: Math.min(endMs, range.toMs),
    })),
  );
  return runs.flatMap(({ dates }, run) =>
    (lines[run] ?? []).map((line) => ({
      ...line,
      // A last day that is longer than 24 hours includes its extra hours.
      date: dates[Math.min(line.day, dates.length - 1)] ?? "",
    })),
  );
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

/** Returns the average since the first use in the range, over at least a day so that a busy hour does not skew it. */
function creditsPerDay(lines: readonly UsageLine[], untilMs: number): number {
  if (lines.length === 0) return 0;
  const firstMs = lines.reduce((first, { firstAtMs }) => Math.min(first, firstAtMs), untilMs);
  return sum(lines) / Math.max(1, (untilMs - firstMs) / DAY_MS);
}

/**
 * Returns when the credits run out at `perDay`, given that lots are spent in order and lost when they expire.
 * Null when nothing is used, or when they last more than ten years.
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
  // Credits in lots beyond those listed in the balance are spent last.
  if (left > 0) atMs += (left / perDay) * DAY_MS;
  return atMs - nowMs > FORESEEABLE_DAYS * DAY_MS ? null : atMs;
}
