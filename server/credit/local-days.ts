// Days in a time zone: the date of a moment, where a day begins, and which days in a row have 24 hours.
import { invalidField } from "../lib/errors.ts";
import { DAY_MS } from "../lib/time.ts";

const MINUTE_MS = 60_000;
/** Days counted by one statement: others' statements run between two of them. */
const MAX_RUN_DAYS = 31;

/** Days in a row of 24 hours each; the last may be longer or shorter. The database counts them without knowing zones. */
export interface DayRun {
  readonly startMs: number;
  /** The first moment after it. */
  readonly endMs: number;
  readonly dates: readonly string[];
}

/** Clocks of one time zone. */
export interface LocalClock {
  /** The date of a moment, as YYYY-MM-DD. */
  dateOf(ms: number): string;
  /** The first minute of a date, `daysLater` after it: daylight saving may move it, or take midnight away. */
  startOf(date: string, daysLater?: number): number;
  /** The days that [fromMs, toMs) touches, whole. */
  runs(fromMs: number, toMs: number): DayRun[];
}

/** The clock of `timeZone`. Throws VALIDATION_FAILED for a zone nobody knows. */
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
    runs(fromMs, toMs) {
      const runs: DayRun[] = [];
      let dates: string[] = [];
      let date = dateOf(fromMs);
      let dayMs = startOf(date);
      let startMs = dayMs;
      while (dayMs < toMs) {
        dates.push(date);
        date = addDays(date, 1);
        // Nearly every day has 24 hours: one look confirms it.
        const guess = read(dayMs + DAY_MS);
        const nextMs =
          guess.date === date && guess.isMidnight ? dayMs + DAY_MS : search(date, dateOf);
        const isWhole = nextMs - dayMs === DAY_MS && dates.length < MAX_RUN_DAYS;
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

/** The first minute whose date is `wanted` or later. */
function search(wanted: string, dateOf: (ms: number) => string): number {
  const utcMs = Date.parse(wanted);
  // No zone is a whole day from UTC: one may be given as an offset up to 23:59, and old local times are 15 hours off.
  let beforeMs = utcMs - DAY_MS;
  let inMs = utcMs + DAY_MS;
  while (inMs - beforeMs > MINUTE_MS) {
    const middleMs = beforeMs + Math.floor((inMs - beforeMs) / MINUTE_MS / 2) * MINUTE_MS;
    if (dateOf(middleMs) < wanted) beforeMs = middleMs;
    else inMs = middleMs;
  }
  return inMs;
}
