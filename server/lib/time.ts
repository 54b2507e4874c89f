// Durations in milliseconds, and the last moment there is.

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** The last moment that every database can keep and compare: the end of the year 9999. */
export const LAST_MS = 253_402_300_799_999;
