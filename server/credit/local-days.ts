// Days in a time zone: the date of a moment, when a day begins, and which consecutive days have 24 hours.
import { invalidField } from "../lib/errors.ts";
import { DAY_MS } from "../lib/time.ts";

const MINUTE_MS = 60_000;

/**
 * Consecutive days of 24 hours each; only the last may be longer or shorter. The database can count them without
 * knowing time zones.
 */
export interface DayRun {
  readonly startMs: number;
  /** The first moment after the run. */
  readonly endMs: number;
  readonly dates: readonly string[];
}

/** The local time of one time zone. */
export interface LocalClock {
  /** Returns the date of a moment, as YYYY-MM-DD. */
  dateOf(ms: number): string;
  /** Returns the first minute of the day `daysLater` after `date`. Daylight saving may shift it or skip midnight. */
  startOf(date: string, daysLater?: number): number;
  /** Returns the days that [fromMs, toMs) touches, as whole days, at most `maxDays` of them in a run. */
  runs(fromMs: number, toMs: number, maxDays: number): DayRun[];
}

/** Returns the clock of `timeZone`. Throws VALIDATION_FAILED for an unknown time zone. */
export function localClock(timeZone: string): LocalClock {
  const format = formatOf(timeZone);
  const read = (ms: number) => {
    const parts = format.formatToParts(ms);
    const part = (type: string) => parts.find((one) => one.type === type)?.value ?? "";
    const date = `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`;
    return { date, isMidnight: part("hour") === "00" && part("minute") === "00" };
  };
  const dateOf = (ms: number) => read(ms).date;
  const startOf = (date: string, daysLater = 0) => search(addDays(date, daysLater), dateOf);

  return {
    dateOf,
    startOf,
    runs(fromMs, toMs, maxDays) {
      const runs: DayRun[] = [];
      let dates: string[] = [];
      let date = dateOf(fromMs);
      let dayMs = startOf(date);
      let startMs = dayMs;
      while (dayMs < toMs) {
        dates.push(date);
        date = addDays(date, 1);
        // Nearly every day has 24 hours, which a single check confirms.
        const guess = read(dayMs + DAY_MS);
        const nextMs =
          guess.date === date && guess.isMidnight ? dayMs + DAY_MS : search(date, dateOf);
        const isWhole = nextMs - dayMs === DAY_MS && dates.length < maxDays;
        dayMs = nextMs;
        if (isWhole && dayMs < toMs) continue;
        runs.push({ startMs, endMs: dayMs, dates });
        startMs = dayMs;
        dates = [];
      }
      return runs;
    },
  };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const digits = "2-digit";
  try {
    return new Intl.DateTimeFormat("en-CA", {
      timeZone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: digits,
      day: digits,
      hour: digits,
      minute: digits,
    });
  } catch {
    throw invalidField("timeZone", "Use a name such as Europe/Vienna or UTC.");
  }
}

function addDays(date: string, days: number): string {
  return new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Returns the first minute whose date is `wanted` or later. */
function search(wanted: string, dateOf: (ms: number) => string): number {
  const utcMs = Date.parse(wanted);
  // No zone is a whole day from UTC: offsets go up to 23:59, and some historical local times differ by 15 hours.
  let beforeMs = utcMs - DAY_MS;
  let inMs = utcMs + DAY_MS;
  while (inMs - beforeMs > MINUTE_MS) {
    const middleMs = beforeMs + Math.floor((inMs - beforeMs) / MINUTE_MS / 2) * MINUTE_MS;
    if (dateOf(middleMs) < wanted) beforeMs = middleMs;
    else inMs = middleMs;
  }
  return inMs;
}
