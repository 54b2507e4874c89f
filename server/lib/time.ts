// Durations in milliseconds, and the latest moment supported.

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** The latest moment that every database can store and compare: the end of the year 9999. */
export const LAST_MS = 253_402_300_799_999;
