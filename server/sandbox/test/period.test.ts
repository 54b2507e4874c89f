// Billing periods are counted from their anchor and never drift.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boundary, periodAt } from "../src/stripe/state/period.ts";
import type { Recurring } from "../src/stripe/objects/types.ts";

const every = (interval: Recurring["interval"], count = 1): Recurring => ({
  interval,
  interval_count: count,
  meter: null,
  trial_period_days: null,
  usage_type: "licensed",
});
const at = (text: string): number => Date.parse(text) / 1000;
const text = (seconds: number): string => new Date(seconds * 1000).toISOString();

describe("billing periods", () => {
  it.each([
    ["2028-01-31T23:59:59Z", "month", 1, "2028-02-29T23:59:59.000Z"],
    ["2027-01-31T23:59:59Z", "month", 1, "2027-02-28T23:59:59.000Z"],
    ["2027-01-31T00:00:00Z", "month", 2, "2027-03-31T00:00:00.000Z"],
    ["2027-12-30T12:00:00Z", "month", 2, "2028-02-29T12:00:00.000Z"],
    ["2028-02-29T12:00:00Z", "year", 1, "2029-02-28T12:00:00.000Z"],
    ["2028-02-29T12:00:00Z", "year", 4, "2032-02-29T12:00:00.000Z"],
    ["2027-03-28T00:30:00Z", "week", 1, "2027-04-04T00:30:00.000Z"],
  ] as const)("counted from %s, %s x %i ends at %s", (anchor, interval, count, expected) => {
    expect(text(boundary(at(anchor), every(interval), count))).toBe(expected);
  });

  it("tile time: every moment is in exactly one period, and the next starts where it ends", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: at("2020-01-01"), max: at("2030-01-01") }),
        fc.constantFrom(
          every("day"),
          every("week", 2),
          every("month"),
          every("month", 3),
          every("year"),
        ),
        fc.integer({ min: 0, max: 5 * 366 * 86_400 }),
        (anchor, recurring, later) => {
          const moment = anchor + later;
          const period = periodAt(anchor, recurring, moment);
          expect(period.start).toBeLessThanOrEqual(moment);
          expect(period.end).toBeGreaterThan(moment);
          expect(periodAt(anchor, recurring, period.end).start).toBe(period.end);
        },
      ),
    );
  });
});
