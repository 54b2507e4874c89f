import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addMonths } from "../../../server/payment/catalog/billing-months.ts";
import {
  type PaidLine,
  scheduleGrants,
  totalCredits,
} from "../../../server/payment/catalog/invoice-credits.ts";
import {
  creditsToReturn,
  decodeLines,
  encodeLines,
  type KeptPayment,
  totalPaid,
  computeTakeBacks,
} from "../../../server/payment/catalog/kept-credits.ts";

const start = new Date("2027-01-31T12:00:00Z");
const end = addMonths(start, 1);
const TIERS = [
  { price: 999, credits: 500 },
  { price: 1999, credits: 1500 },
  { price: 4999, credits: 5000 },
];

interface Held {
  readonly tier: number;
  readonly quantity: number;
}

const line = ({ tier, quantity }: Held, share: number, sign: 1 | -1): PaidLine => {
  const { price, credits } = TIERS[tier] ?? { price: 1, credits: 0 };
  return {
    amount: sign * Math.round(price * quantity * share),
    unitAmount: price,
    interval: "month",
    monthlyCredits: credits,
    periodStart: new Date(end.getTime() - Math.floor((end.getTime() - start.getTime()) * share)),
    periodEnd: end,
  };
};

/** A paid invoice with its credits granted, and `back` hundredths of its money returned. */
function paid(lines: readonly PaidLine[], back: readonly [number, number, number]): KeptPayment {
  const total = lines.reduce((sum, { amount }) => sum + amount, 0);
  const share = (part: number): number => (total <= 0 ? 0 : Math.floor((total * part) / 300));
  const [refunded, credited, disputed] = [share(back[0]), share(back[1]), share(back[2])];
  const creditsPurchased = scheduleGrants(lines, start).reduce(
    (sum, { credits }) => sum + credits,
    0,
  );
  const payment = { amount: Math.max(total, 0), total, creditsPurchased };
  const { byRefunds, byDisputes } = computeTakeBacks(payment, { refunded, credited, disputed });
  return {
    ...payment,
    refundedAmount: refunded,
    creditedAmount: credited,
    disputedAmount: disputed,
    refundedCredits: byRefunds,
    disputedCredits: byDisputes,
    creditsWorth: totalCredits(lines),
    invoiceLines: encodeLines({ anchor: start, lines }),
  };
}

const hundredth = fc.integer({ min: 0, max: 100 });
const step = fc.record({
  to: fc.record({ tier: fc.integer({ min: 0, max: 2 }), quantity: fc.integer({ min: 1, max: 5 }) }),
  /** The share of the remaining period that is still left. */
  left: fc.double({ min: 0.5, max: 1, noNaN: true }),
  back: fc.tuple(hundredth, hundredth, hundredth),
  isGivenBack: fc.boolean(),
});
const steps = fc.array(step, { maxLength: 12 });

describe("kept credits", () => {
  it("never exceed what the money that stayed buys, whatever was switched and given back", {
    timeout: 120_000,
  }, () => {
    fc.assert(
      fc.property(steps, (changes) => {
        let held: Held = { tier: 0, quantity: 1 };
        let left = 1;
        const payments = [paid([line(held, 1, 1)], [0, 0, 0])];
        for (const { to, left: share, back, isGivenBack } of changes) {
          left *= share;
          payments.push(
            paid([line(held, left, -1), line(to, left, 1)], isGivenBack ? back : [0, 0, 0]),
          );
          held = to;
          const given = payments.reduce(
            (sum, it) => sum + it.creditsPurchased - it.refundedCredits - it.disputedCredits,
            0,
          );
          const kept = given - creditsToReturn(payments, new Date(0));
          // Calculated independently, in floating point: each line buys its share of its plan, less the money returned.
          const bought = payments.reduce((sum, it) => {
            const { lines } = JSON.parse(it.invoiceLines ?? "") as { lines: PaidLine[] };
            const worth = lines.reduce(
              (all, { amount, unitAmount, monthlyCredits }) =>
                all + (monthlyCredits * amount) / unitAmount,
              0,
            );
            const isBack = it.refundedAmount + it.creditedAmount + it.disputedAmount;
            // An invoice that gives credits back overall does so in full, whatever happens to its money.
            const stays = worth < 0 || isBack === 0 ? 1 : 1 - isBack / (it.total ?? 1);
            return sum + worth * stays;
          }, 0);
          // A refund's share is rounded in the customer's favour, by less than a credit each.
          const refunds = payments.filter((it) => it.refundedCredits + it.disputedCredits > 0);
          expect(kept).toBeLessThanOrEqual(bought + refunds.length + 1e-6);
          // Nor is more taken than rounding explains: two credits per invoice.
          expect(kept).toBeGreaterThanOrEqual(bought - 2 * payments.length);
        }
      }),
      { numRuns: process.env["FULL"] === "1" ? 20_000 : 1_000 },
    );
  });

  it("come back to the plan's own after any switching at one moment", () => {
    fc.assert(
      fc.property(steps, (changes) => {
        let held: Held = { tier: 0, quantity: 1 };
        const payments = [paid([line(held, 1, 1)], [0, 0, 0])];
        for (const { to } of changes) {
          payments.push(paid([line(held, 1, -1), line(to, 1, 1)], [0, 0, 0]));
          held = to;
        }
        const given = payments.reduce((sum, it) => sum + it.creditsPurchased, 0);
        const plan = (TIERS[held.tier]?.credits ?? 0) * held.quantity;
        expect(given - creditsToReturn(payments, new Date(0))).toBe(plan);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("stored lines", () => {
  it("come back as they were, and none stay none", () => {
    const lines = [{ ...line({ tier: 1, quantity: 3 }, 0.5, -1), quantity: 3 }];
    const kept = { anchor: start, lines };
    expect(decodeLines(encodeLines(kept))).toEqual(kept);
    expect(decodeLines(null)).toBeNull();
  });

  it("of before quantities are for one, and nothing malformed is read", () => {
    const old = encodeLines({ anchor: start, lines: [line({ tier: 0, quantity: 1 }, 1, 1)] });
    expect(decodeLines(old)?.lines[0]?.quantity).toBe(1);
    for (const text of ["{}", old.replace("999", "9.5"), old.replace("month", "week")])
      expect(() => decodeLines(text)).toThrow();
  });
});

describe("what is taken back", () => {
  const payment = { amount: 999, total: 999, creditsPurchased: 500 };
  const back = { refunded: 0, credited: 0, disputed: 0 };

  it("is the share of refunds and credit notes together, and of a dispute what is left of its own", () => {
    expect(computeTakeBacks(payment, back)).toEqual({ byRefunds: 0, byDisputes: 0 });
    expect(computeTakeBacks(payment, { ...back, refunded: 333 })).toEqual({
      byRefunds: 166,
      byDisputes: 0,
    });
    expect(computeTakeBacks(payment, { ...back, credited: 333 })).toEqual({
      byRefunds: 166,
      byDisputes: 0,
    });
    expect(computeTakeBacks(payment, { refunded: 333, credited: 333, disputed: 333 })).toEqual({
      byRefunds: 333,
      byDisputes: 167,
    });
    expect(computeTakeBacks(payment, { ...back, disputed: 999 })).toEqual({
      byRefunds: 0,
      byDisputes: 500,
    });
  });

  it("is measured against the whole invoice where a customer balance paid a part of it", () => {
    expect(totalPaid({ amount: 499, total: 999 })).toBe(999);
    expect(totalPaid({ amount: 999, total: null })).toBe(999);
    // An outstanding balance was collected with it.
    expect(totalPaid({ amount: 1_200, total: 999 })).toBe(1_200);
    const half = { ...payment, amount: 499 };
    expect(computeTakeBacks(half, { ...back, refunded: 499 }).byRefunds).toBe(249);
  });
});

describe("credits to return", () => {
  const basic = paid([line({ tier: 0, quantity: 1 }, 1, 1)], [0, 0, 0]);
  const long = new Date("2100-01-01T00:00:00Z");

  it("are none while nothing was given back, whatever was refunded", () => {
    expect(creditsToReturn([], long)).toBe(0);
    expect(creditsToReturn([basic], long)).toBe(0);
    const refunded = paid([line({ tier: 2, quantity: 1 }, 1, 1)], [60, 0, 0]);
    expect(creditsToReturn([basic, refunded], long)).toBe(0);
  });

  it("are what an invoice gives back in all, and never more than was given", () => {
    const down = paid(
      [line({ tier: 2, quantity: 1 }, 1, -1), line({ tier: 0, quantity: 1 }, 1, 1)],
      [0, 0, 0],
    );
    const team = paid([line({ tier: 2, quantity: 1 }, 1, 1)], [0, 0, 0]);
    expect(down.creditsWorth).toBe(-4_500);
    expect(creditsToReturn([team, down], long)).toBe(4_500);
    // A refund already took them: less is left than would have to be given back.
    const back = { ...team, refundedAmount: team.amount, refundedCredits: 5_000 };
    expect(creditsToReturn([back, down], long)).toBe(4_500);
    const taken = { ...back, disputedCredits: 0 };
    expect(creditsToReturn([taken], long)).toBe(0);
  });

  it("of a payment from before its worth and lines were kept are by its credits alone", () => {
    const old = { ...basic, creditsWorth: null, invoiceLines: null };
    expect(creditsToReturn([old], long)).toBe(0);
    const halfBack = { ...old, refundedAmount: 500, refundedCredits: 250 };
    expect(creditsToReturn([halfBack], long)).toBe(0);
    const negative = { ...basic, creditsWorth: -100, creditsPurchased: 0, invoiceLines: null };
    expect(creditsToReturn([basic, negative], long)).toBe(100);
  });

  it("of a year that became months go month by month with the months they take the place of", () => {
    const year = (sign: 1 | -1): PaidLine => ({
      ...line({ tier: 0, quantity: 1 }, 1, 1),
      amount: sign * 9_990,
      unitAmount: 9_990,
      interval: "year",
      periodStart: start,
      periodEnd: addMonths(start, 12),
    });
    // Three months of a year have been granted when the whole year is returned and one month is bought instead.
    const granted = { ...paid([year(1)], [0, 0, 0]), creditsPurchased: 1_500 };
    const month = paid([year(-1), line({ tier: 0, quantity: 1 }, 1, 1)], [0, 0, 0]);
    expect(month.creditsWorth).toBe(-5_500);
    const given = granted.creditsPurchased + month.creditsPurchased;
    const kept = (upTo: Date): number => given - creditsToReturn([granted, month], upTo);
    // Only the bought month is kept, once the months granted so far have been taken back with the year.
    expect(kept(addMonths(start, 2))).toBe(500);
    expect(kept(long)).toBeLessThanOrEqual(500);
  });
});
