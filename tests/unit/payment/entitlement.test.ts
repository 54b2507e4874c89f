import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type PaidLine,
  scheduleGrants,
  totalCredits,
} from "../../../server/payment/catalog/invoice-credits.ts";
import { addMonths } from "../../../server/payment/catalog/billing-months.ts";

interface Plan {
  price: number;
  credits: number;
}

const BASIC = { price: 999, credits: 500 };
const PRO = { price: 1999, credits: 1500 };
const TEAM = { price: 4999, credits: 5000 };
const TIERS = [BASIC, PRO, TEAM];

const start = new Date("2027-01-31T12:00:00Z");
const monthEnd = addMonths(start, 1);
const yearEnd = addMonths(start, 12);

const line = (plan: Plan, interval: "month" | "year", amount: number, from = start): PaidLine => ({
  amount,
  unitAmount: interval === "year" ? plan.price * 10 : plan.price,
  interval,
  monthlyCredits: plan.credits,
  periodStart: from,
  periodEnd: interval === "year" ? yearEnd : monthEnd,
});
const total = (lines: PaidLine[]) =>
  scheduleGrants(lines, start).reduce((sum, grant) => sum + grant.credits, 0);

/** What Stripe bills for a change when this share of the period is left: each line is rounded separately. */
const change = (from: Plan, to: Plan, left: number, interval: "month" | "year" = "month") => {
  const factor = interval === "year" ? 10 : 1;
  const length = (interval === "year" ? yearEnd : monthEnd).getTime() - start.getTime();
  const at = new Date(start.getTime() + Math.floor(length * (1 - left)));
  return [
    line(from, interval, -Math.round(from.price * factor * left), at),
    line(to, interval, Math.round(to.price * factor * left), at),
  ];
};

const share = fc.double({ min: 0.0001, max: 1, noNaN: true });
const pair = fc.constantFrom([BASIC, PRO], [PRO, TEAM], [BASIC, TEAM]) as fc.Arbitrary<
  [Plan, Plan]
>;

it("gives every month of a year its credits for each of the quantity", () => {
  const three = { ...line(BASIC, "year", BASIC.price * 10 * 3), quantity: 3 };
  const scheduled = scheduleGrants([three], start);
  expect(scheduled.map(({ credits }) => credits)).toEqual(Array.from({ length: 12 }, () => 1_500));
});

it.each(["month", "year"] as const)(
  "gives each of several free units its %s's credits",
  (interval) => {
    const free = { ...line({ price: 0, credits: 50 }, interval, 0), quantity: 2 };
    const months = interval === "year" ? 12 : 1;
    const credits = scheduleGrants([free], start).map((grant) => grant.credits);
    expect(credits).toEqual(Array.from({ length: months }, () => 100));
    expect(totalCredits([free])).toBe(100 * months);
  },
);

describe("entitlement", () => {
  it("gives a full month its plan's credits, until one month after it", () => {
    const [grant, ...more] = scheduleGrants([line(PRO, "month", 1999)], start);
    expect(more).toEqual([]);
    expect(grant).toMatchObject({ index: 0, credits: 1500, dueAt: start });
    expect(grant?.expiresAt.toISOString()).toBe("2027-03-31T12:00:00.000Z");
  });

  it("gives a full year twelve equal months at the months' ends", () => {
    const scheduled = scheduleGrants([line(BASIC, "year", 9990)], start);
    expect(scheduled.map(({ credits }) => credits)).toEqual(Array(12).fill(500));
    expect(scheduled.map(({ dueAt }) => dueAt.toISOString().slice(5, 10)).slice(0, 4)).toEqual([
      ...["01-31", "02-28", "03-31", "04-30"],
    ]);
    expect(scheduled[1]?.expiresAt.toISOString().slice(0, 10)).toBe("2027-04-30");
  });

  it("survives a leap day as anchor", () => {
    const leap = new Date("2028-02-29T00:00:00Z");
    const year = { ...line(BASIC, "year", 9990, leap), periodEnd: addMonths(leap, 12) };
    const scheduled = scheduleGrants([year], leap);
    expect(scheduled.map(({ credits }) => credits)).toEqual(Array(12).fill(500));
    expect(scheduled.at(-1)?.dueAt.toISOString().slice(0, 10)).toBe("2029-01-29");
    expect(scheduled.at(-1)?.expiresAt.toISOString().slice(0, 10)).toBe("2029-03-29");
  });

  // Simulation seed 1233: switching to a year and back moves the anchor before the invoice is processed.
  it("gives a year its first month at once though the subscription's anchor has moved since", () => {
    const movedBy = fc.oneof(
      fc.integer({ min: 1_000, max: 60_000 }),
      fc.integer({ min: 60_000, max: 330 * 86_400_000 }),
    );
    fc.assert(
      fc.property(movedBy, (milliseconds) => {
        const moved = new Date(start.getTime() + milliseconds);
        expect(scheduleGrants([line(BASIC, "year", 9990)], moved)).toEqual(
          scheduleGrants([line(BASIC, "year", 9990)], start),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("gives all that an invoice is worth by its last month, wherever its lines' months begin", () => {
    const offset = fc.integer({ min: 0, max: 400 * 86_400_000 });
    fc.assert(
      fc.property(offset, offset, pair, share, (oldMs, anchorMs, [from, to], left) => {
        const oldStart = new Date(start.getTime() - oldMs);
        const unused = {
          ...line(from, "year", -Math.round(from.price * 10 * left)),
          periodEnd: addMonths(oldStart, 14),
        };
        const lines = [unused, line(to, "year", to.price * 10)];
        const scheduled = scheduleGrants(lines, new Date(start.getTime() + anchorMs));
        const sum = scheduled.reduce((all, { credits }) => all + credits, 0);
        expect(sum).toBe(totalCredits(lines));
        expect(scheduled.every(({ credits }) => credits >= 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("gives an upgrade the share that was paid, whenever it comes", () => {
    fc.assert(
      fc.property(pair, share, ([from, to], left) => {
        const credits = total(change(from, to, left));
        const fair = (to.credits - from.credits) * left;
        // Stripe rounds each line to a cent, and a cent is worth less than two credits at these prices.
        expect(Math.abs(credits - fair)).toBeLessThanOrEqual(4);
      }),
      { numRuns: 1_000 },
    );
  });

  it("cannot be farmed: no chain of upgrades gives more than its money, nor loses more than rounding", () => {
    const moments = fc.array(share, { minLength: 1, maxLength: 2 });
    fc.assert(
      fc.property(moments, (shares) => {
        const lefts = shares.toSorted((a, b) => b - a);
        let credits = total([line(BASIC, "month", BASIC.price)]);
        lefts.forEach((left, step) => {
          credits += total(change(TIERS[step] ?? BASIC, TIERS[step + 1] ?? TEAM, left));
        });
        // The fair value of each time span on its plan: the area under the plans.
        const bounds = [1, ...lefts, 0];
        const fair = bounds.slice(0, -1).reduce((sum, left, step) => {
          const until = bounds[step + 1] ?? 0;
          return sum + (TIERS[step]?.credits ?? 0) * (left - until);
        }, 0);
        expect(Math.abs(credits - fair)).toBeLessThanOrEqual(4 * lefts.length + 1);
      }),
      { numRuns: 1_000 },
    );
  });

  it("gives a yearly upgrade its share month by month, in whole credits, exactly in sum", () => {
    fc.assert(
      fc.property(pair, share, ([from, to], left) => {
        const lines = change(from, to, left, "year");
        const scheduled = scheduleGrants(lines, start);
        const sum = scheduled.reduce((all, grant) => all + grant.credits, 0);
        expect(Math.abs(sum - (to.credits - from.credits) * 12 * left)).toBeLessThanOrEqual(4);
        expect(scheduled.every(({ credits }) => Number.isInteger(credits) && credits >= 0)).toBe(
          true,
        );
        const whole = scheduled.slice(1).map(({ credits }) => credits);
        // Months are not equal parts of a year, so only the first of the remaining months may carry the difference.
        for (const credits of whole.slice(1))
          expect(Math.abs(credits - (to.credits - from.credits))).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  it("pays the unused month of a change to a yearly plan back out of the first months", () => {
    const at = new Date(start.getTime() + 15 * 86_400_000);
    const unused = line(TEAM, "month", -2499, at);
    const year = { ...line(BASIC, "year", 9990, at), periodEnd: addMonths(at, 12) };
    const scheduled = scheduleGrants([unused, year], at);
    expect(scheduled.every(({ credits }) => credits >= 0)).toBe(true);
    expect(scheduled.reduce((sum, { credits }) => sum + credits, 0)).toBe(
      Math.floor(6000 - (5000 * 2499) / 4999),
    );
    expect(scheduled.at(-1)?.credits).toBe(500);
  });

  it("gives nothing for money given back, and nothing for nothing", () => {
    expect(total(change(TEAM, BASIC, 0.5))).toBe(0);
    expect(scheduleGrants([], start)).toEqual([]);
    expect(total([line(BASIC, "month", 0)])).toBe(0);
  });

  it("gives a free plan its credits", () => {
    expect(total([line({ price: 0, credits: 50 }, "month", 0)])).toBe(50);
  });
});
