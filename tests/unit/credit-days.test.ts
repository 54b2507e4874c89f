// Shows the days of time zones, by which usage is summed, and when credits are expected to end.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localClock } from "../../server/credit/local-days.ts";
import { runsOutAt } from "../../server/credit/usage.ts";
import { beginning, wallDate, zone } from "../support/time-zones.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

describe("days of a time zone", () => {
  test("runs hold every day of a range once, in order, each from its first minute to the next", () => {
    fc.assert(
      fc.property(
        zone,
        beginning,
        fc.integer({ min: 1, max: 366 * 24 }),
        fc.constantFrom(31, Number.POSITIVE_INFINITY),
        (timeZone, fromMs, hours, maxDays) => {
          const clock = localClock(timeZone);
          const toMs = fromMs + hours * HOUR_MS;
          const runs = clock.runs(fromMs, toMs, maxDays);
          expect(runs[0]?.startMs).toBeLessThanOrEqual(fromMs);
          expect(runs.at(-1)?.endMs).toBeGreaterThanOrEqual(toMs);
          for (const [index, { startMs, endMs, dates }] of runs.entries()) {
            expect(startMs).toBe(runs[index - 1]?.endMs ?? startMs);
            expect(dates.length).toBeLessThanOrEqual(maxDays);
            for (const [day, date] of dates.entries()) {
              const beginsMs = startMs + day * DAY_MS;
              if (beginsMs >= endMs) continue;
              expect(wallDate(timeZone, beginsMs)).toBe(date);
              expect(wallDate(timeZone, beginsMs - 1) < date).toBe(true);
            }
            expect(wallDate(timeZone, endMs) > (dates.at(-1) ?? "")).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  // Zones given by their offset are known to Node.js 22 and later; the others were as far off before 1867.
  test.each(["+23:59", "-23:59", "+15:30", "America/Juneau", "Asia/Manila"])(
    "a day begins at its first minute however far from UTC: %s",
    (timeZone) => {
      if (/^\W/.test(timeZone) && process.version.startsWith("v20.")) return;
      const { startOf, dateOf } = localClock(timeZone);
      for (const date of ["1840-05-01", "2026-03-29"]) {
        const startMs = startOf(date);
        expect(dateOf(startMs)).toBe(date);
        expect(dateOf(startMs - 60_000) < date).toBe(true);
      }
    },
  );
});

describe("projections", () => {
  const day = 86_400_000;
  const lot = (remaining: number, expiresAtMs: number | null) => ({
    id: "l",
    source: "SIGNUP",
    remaining,
    expiresAtMs,
  });

  test("credits end when they are spent, or lost by expiry before", () => {
    expect(runsOutAt({ credits: 100, lots: [lot(100, null)] }, 10, 0)).toBe(10 * day);
    expect(runsOutAt({ credits: 100, lots: [lot(50, 2 * day), lot(50, null)] }, 10, 0)).toBe(
      7 * day,
    );
    expect(runsOutAt({ credits: 100, lots: [lot(100, null)] }, 0, 0)).toBeNull();
    expect(runsOutAt({ credits: -5, lots: [] }, 3, 7)).toBe(7);
    expect(runsOutAt({ credits: 1e9, lots: [lot(1e9, null)] }, 1, 0)).toBeNull();
  });

  test("dates are local, over a change of clocks and across the date line", () => {
    const at = Date.parse("2026-03-29T00:30:00Z");
    expect(localClock("Europe/Vienna").dateOf(at)).toBe("2026-03-29");
    expect(localClock("Pacific/Kiritimati").dateOf(at)).toBe("2026-03-29");
    expect(localClock("Pacific/Pago_Pago").dateOf(at)).toBe("2026-03-28");
    expect(localClock("Asia/Kathmandu").dateOf(Date.parse("2026-03-28T18:15:00Z"))).toBe(
      "2026-03-29",
    );
  });
});
