// Owns the proof that no sequence of invoices and money back keeps more credits than the money that stayed buys.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addMonths } from "../../../server/payment/catalog/billing-months.ts";
import {
  type PaidLine,
  slicesOf,
  worthOf,
} from "../../../server/payment/catalog/invoice-credits.ts";
import {
  creditsToReturn,
  encodeLines,
  type KeptPayment,
  takenTargets,
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

/** A paid invoice with its credits granted, and `back` parts of a hundred of its money given back. */
function paid(lines: readonly PaidLine[], back: readonly [number, number, number]): KeptPayment {
  const total = lines.reduce((sum, { amount }) => sum + amount, 0);
  const share = (part: number): number => (total <= 0 ? 0 : Math.floor((total * part) / 300));
  const [refunded, credited, disputed] = [share(back[0]), share(back[1]), share(back[2])];
  const creditsPurchased = slicesOf(lines, start).reduce((sum, { credits }) => sum + credits, 0);
  const payment = { amount: Math.max(total, 0), total, creditsPurchased };
  const { byRefunds, byDisputes } = takenTargets(payment, { refunded, credited, disputed });
  return {
    ...payment,
    refundedAmount: refunded,
    creditedAmount: credited,
    disputedAmount: disputed,
    refundedCredits: byRefunds,
    disputedCredits: byDisputes,
    creditsWorth: worthOf(lines),
    invoiceLines: encodeLines({ anchor: start, lines }),
  };
}

const hundredth = fc.integer({ min: 0, max: 100 });
const step = fc.record({
  to: fc.record({ tier: fc.integer({ min: 0, max: 2 }), quantity: fc.integer({ min: 1, max: 5 }) }),
  /** How much of what was left of the period is left. */
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
          // By itself, in floating point: each line its share of its plan, less what is back of the invoice's money.
          const bought = payments.reduce((sum, it) => {
            const { lines } = JSON.parse(it.invoiceLines ?? "") as { lines: PaidLine[] };
            const worth = lines.reduce(
              (all, { amount, unitAmount, monthlyCredits }) =>
                all + (monthlyCredits * amount) / unitAmount,
              0,
            );
            const isBack = it.refundedAmount + it.creditedAmount + it.disputedAmount;
            // What gives credits back in all gives them back whole, whatever becomes of its money.
            const stays = worth < 0 || isBack === 0 ? 1 : 1 - isBack / (it.total ?? 1);
            return sum + worth * stays;
          }, 0);
          // A refund's share is rounded for the customer: less than a credit for each.
          const refunds = payments.filter((it) => it.refundedCredits + it.disputedCredits > 0);
          expect(kept).toBeLessThanOrEqual(bought + refunds.length + 1e-6);
          // Nor is more taken than rounding: two credits an invoice.
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
