// Time zones and date ranges with unusual days, and local calendar dates, for the tests of days and of usage by day.
import fc from "fast-check";

const formats = new Map<string, Intl.DateTimeFormat>();

/** The local calendar date in that zone. */
export function wallDate(timeZone: string, ms: number): string {
  const format =
    formats.get(timeZone) ?? new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short" });
  formats.set(timeZone, format);
  return format.format(ms);
}

// Zones that change at midnight, by half an hour, across the date line or permanently, and months of every length.
const ZONES = [
  "UTC",
  "America/New_York",
  "America/Havana",
  "America/St_Johns",
  "America/Santiago",
  "Asia/Beirut",
  "Asia/Kathmandu",
  "Asia/Almaty",
  "Australia/Lord_Howe",
  "Africa/Casablanca",
  "Africa/Cairo",
  "Pacific/Apia",
  "Pacific/Chatham",
  "Pacific/Kiritimati",
  "Pacific/Pago_Pago",
];
/** A time zone: one of the unusual ones, or any. */
export const zone = fc.oneof(
  fc.constantFrom(...ZONES),
  fc.constantFrom(...Intl.supportedValuesOf("timeZone")),
);
/** The start of a range. Pacific/Apia skipped 30 December 2011; leap years on either side. */
export const beginning = fc.constantFrom(
  Date.UTC(2011, 11, 28),
  Date.UTC(2024, 0, 1),
  Date.UTC(2024, 1, 27),
  Date.UTC(2025, 2, 29),
  Date.UTC(2025, 9, 25),
  Date.UTC(2026, 10, 1),
);
