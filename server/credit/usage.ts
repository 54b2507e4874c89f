// Owns what usage adds up to: by feature, by day in the caller's time zone, and when the credits will be gone.
import { AppError } from "../lib/errors.ts";
import type { Balances } from "./balances.ts";
import type { BalanceRecord, CreditService, CreditStore, UsageBucket } from "./credit.service.ts";

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
const MAX_DAYS = 366;
const FORESEEABLE_DAYS = 3_650;

/** `credit.usage` over a store. Days without usage are left out. */
export function createUsage(deps: {
  readonly store: CreditStore;
  readonly balances: Balances;
  readonly now: () => number;
}): CreditService["usage"] {
  return async (userId, input) => {
    const nowMs = deps.now();
    const dateOf = localDate(input.timeZone);
    const momentOf = (text: string, daysLater: number): number =>
      text.includes("T") ? Date.parse(text) : startOfDay(text, daysLater, dateOf);
    const toMs = input.to === undefined ? nowMs : momentOf(input.to, 1);
    const fromMs =
      input.from === undefined ? toMs - DEFAULT_DAYS * DAY_MS : momentOf(input.from, 0);
    if (fromMs >= toMs) throw invalid("from", "It has to lie before `to`.");
    if (toMs - fromMs > MAX_DAYS * DAY_MS) throw invalid("from", `At most ${MAX_DAYS} days.`);
    const [buckets, balance] = await Promise.all([
      // Without an end nothing is cut off, not even what an instance with a faster clock has just written.
      deps.store.usage(
        userId,
        new Date(fromMs),
        new Date(input.to === undefined ? toMs + DAY_MS : toMs),
      ),
      deps.balances.read(userId),
    ]);
    const perDay = creditsPerDay(buckets, Math.min(toMs, nowMs));
    const endMs = runsOutAt(balance, perDay, nowMs);
    return {
      totalCredits: sum(buckets),
      byFeature: byFeature(buckets),
      daily: daily(buckets, dateOf),
      runsOutOn: endMs === null ? null : dateOf(endMs),
    };
  };
}

/** The date of a moment in `timeZone`, daylight saving included. Throws VALIDATION_FAILED for an unknown zone. */
export function localDate(timeZone: string): (ms: number) => string {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-CA", {
      timeZone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
    });
  } catch {
    throw invalid("timeZone", "Use a name such as Europe/Vienna or UTC.");
  }
  return (ms) => {
    const parts = format.formatToParts(ms);
    const part = (type: string) => parts.find((one) => one.type === type)?.value ?? "";
    return `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`;
  };
}

const MINUTE_MS = 60_000;

/** The first minute of a local date, `daysLater` after it: daylight saving may move it, or take midnight away. */
function startOfDay(date: string, daysLater: number, dateOf: (ms: number) => string): number {
  const utcMs = Date.parse(date) + daysLater * DAY_MS;
  const wanted = new Date(utcMs).toISOString().slice(0, 10);
  // No zone is further than 14 hours from UTC.
  let beforeMs = utcMs - 15 * 60 * MINUTE_MS;
  let inMs = utcMs + 15 * 60 * MINUTE_MS;
  while (inMs - beforeMs > MINUTE_MS) {
    const middleMs = beforeMs + Math.floor((inMs - beforeMs) / MINUTE_MS / 2) * MINUTE_MS;
    if (dateOf(middleMs) < wanted) beforeMs = middleMs;
    else inMs = middleMs;
  }
  return inMs;
}

function sum(buckets: readonly UsageBucket[]): number {
  return buckets.reduce((total, { credits }) => total + credits, 0);
}

function byFeature(buckets: readonly UsageBucket[]) {
  const features = new Map<string, { feature: string; credits: number; calls: number }>();
  for (const { feature, credits, calls } of buckets) {
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

function daily(buckets: readonly UsageBucket[], dateOf: (ms: number) => string) {
  const days = new Map<string, number>();
  for (const { startsAtMs, credits } of buckets) {
    const date = dateOf(startsAtMs);
    days.set(date, (days.get(date) ?? 0) + credits);
  }
  return [...days]
    .map(([date, credits]) => ({ date, credits }))
    .sort((a, b) => (a.date < b.date ? -1 : 1));
}

/** The pace since the first use in the range, over a day at least, so that one busy hour is not taken for a habit. */
function creditsPerDay(buckets: readonly UsageBucket[], untilMs: number): number {
  if (buckets.length === 0) return 0;
  const firstMs = buckets.reduce((first, { startsAtMs }) => Math.min(first, startsAtMs), untilMs);
  return sum(buckets) / Math.max(1, (untilMs - firstMs) / DAY_MS);
}

/**
 * When the credits are gone at `perDay`, lots spent in their order and lost at their expiry.
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
  for (const { remaining, expiresAtMs } of balance.lots) {
    const emptyMs = atMs + (remaining / perDay) * DAY_MS;
    atMs = Math.max(atMs, Math.min(emptyMs, expiresAtMs ?? Number.POSITIVE_INFINITY));
  }
  return atMs - nowMs > FORESEEABLE_DAYS * DAY_MS ? null : atMs;
}

function invalid(field: string, sentence: string): AppError {
  return AppError.of("VALIDATION_FAILED", `Please check ${field}: ${sentence}`, {
    fields: { [field]: [sentence] },
  });
}
