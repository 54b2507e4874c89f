// Month arithmetic: month ends, leap days, time of day, and counting from the anchor.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addMonths,
  billingDatesBetween,
  nextBillingDate,
} from "../../../server/payment/catalog/billing-months.ts";

const at = (text: string) => new Date(text);
const iso = (date: Date) => date.toISOString();
const moment = fc.date({
  min: at("2020-01-01T00:00:00Z"),
  max: at("2040-01-01T00:00:00Z"),
  noInvalidDate: true,
});

describe("months", () => {
  it.each([
    ["2027-01-31T10:00:00.000Z", 1, "2027-02-28T10:00:00.000Z"],
    ["2027-01-31T10:00:00.000Z", 2, "2027-03-31T10:00:00.000Z"],
    ["2027-01-31T10:00:00.000Z", 3, "2027-04-30T10:00:00.000Z"],
    ["2028-01-31T23:59:59.999Z", 1, "2028-02-29T23:59:59.999Z"],
    ["2028-02-29T00:00:00.000Z", 12, "2029-02-28T00:00:00.000Z"],
    ["2028-02-29T00:00:00.000Z", 48, "2032-02-29T00:00:00.000Z"],
    ["2026-12-31T00:00:00.000Z", 2, "2027-02-28T00:00:00.000Z"],
    ["2027-03-31T00:00:00.000Z", -1, "2027-02-28T00:00:00.000Z"],
    // Clocks change in many places on this day, but months are counted in UTC.
    ["2027-02-28T01:30:00.000Z", 1, "2027-03-28T01:30:00.000Z"],
  ])("%s plus %i months is %s", (anchor, months, expected) => {
    expect(iso(addMonths(at(anchor), months))).toBe(expected);
  });

  it("goes on from the anchor, not from the month before", () => {
    const anchor = at("2027-01-31T00:00:00Z");
    const year = billingDatesBetween(anchor, anchor, addMonths(anchor, 12)).map((one) =>
      iso(one).slice(5, 10),
    );
    expect(year).toEqual([
      ...["02-28", "03-31", "04-30", "05-31", "06-30", "07-31"],
      ...["08-31", "09-30", "10-31", "11-30", "12-31"],
    ]);
  });

  it("finds the next anchored moment: later, anchored, and none before it", () => {
    fc.assert(
      fc.property(moment, moment, (anchor, now) => {
        const next = nextBillingDate(anchor, now);
        expect(next.getTime()).toBeGreaterThan(now.getTime());
        const months =
          (next.getUTCFullYear() - anchor.getUTCFullYear()) * 12 +
          next.getUTCMonth() -
          anchor.getUTCMonth();
        expect(iso(addMonths(anchor, months))).toBe(iso(next));
        expect(addMonths(anchor, months - 1).getTime()).toBeLessThanOrEqual(now.getTime());
      }),
      { numRuns: 2_000 },
    );
  });

  it("divides every year into twelve months", () => {
    fc.assert(
      fc.property(moment, (anchor) => {
        expect(billingDatesBetween(anchor, anchor, addMonths(anchor, 12))).toHaveLength(11);
      }),
    );
  });
});
