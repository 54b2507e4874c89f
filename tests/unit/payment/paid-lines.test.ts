import { expect, test } from "vitest";
import { readPrice } from "../../../server/adapters/stripe/parse.ts";
import { scheduleGrants } from "../../../server/payment/catalog/invoice-credits.ts";
import { readPaidLines } from "../../../server/payment/catalog/paid-lines.ts";
import type { PricedPlan } from "../../../server/payment/payment.types.ts";

const start = new Date("2027-01-10T12:00:00Z");
const middle = new Date("2027-01-25T12:00:00Z");
const end = new Date("2027-02-10T12:00:00Z");

function pricedPlan(id: string, credits: number, price: number, inEuro?: number): PricedPlan {
  const sold = { currency: "usd", interval: "month" as const };
  return {
    plan: { ...sold, id, name: id, tier: id, credits, price, stripePriceId: id, isActive: true },
    price: {
      ...sold,
      ...{ id, active: true, productId: id, productActive: true, unitAmount: price },
      ...{ offerId: id, credits },
      amounts: new Map([["usd", price], ...(inEuro ? [["eur", inEuro] as const] : [])]),
    },
  };
}

const plans = [
  pricedPlan("free", 50, 0),
  pricedPlan("basic", 500, 999),
  pricedPlan("abroad", 500, 999, 1800),
];
const catalog = {
  findPricedPlan: async (priceId: string) => plans.find(({ plan }) => plan.id === priceId) ?? null,
};

async function creditsOf(
  lines: readonly { priceId: string; amount: number; proration: boolean; from?: Date }[],
  currency = "usd",
): Promise<number> {
  const invoice = {
    currency,
    lines: lines.map(({ from = start, ...line }) => ({
      ...line,
      quantity: 1,
      periodStart: from,
      periodEnd: end,
    })),
  };
  const paid = await readPaidLines(catalog, invoice);
  return scheduleGrants(paid, start).reduce((sum, { credits }) => sum + credits, 0);
}

test("a free plan gives its credits with its period, and none for leaving it or coming back", async () => {
  const period = { priceId: "free", amount: 0, proration: false };
  const prorated = { priceId: "free", amount: 0, proration: true, from: middle };
  const remaining = { priceId: "basic", amount: 515, proration: true, from: middle };
  expect(await creditsOf([period])).toBe(50);
  expect(await creditsOf([prorated])).toBe(0);
  expect(await creditsOf([prorated, remaining])).toBe(257);
  expect(await creditsOf([{ ...remaining, amount: -515 }, prorated])).toBe(0);
});

test("lines of prices that are not in the catalog give nothing", async () => {
  expect(await creditsOf([{ priceId: "other", amount: 999, proration: false }])).toBe(0);
});

test("lines are measured by what the price costs in the invoice's currency", async () => {
  const period = { priceId: "abroad", amount: 1800, proration: false };
  expect(await creditsOf([period], "eur")).toBe(500);
  expect(await creditsOf([{ ...period, amount: 900, proration: true, from: middle }], "eur")).toBe(
    250,
  );
  expect(await creditsOf([{ ...period, amount: 999 }])).toBe(500);
});

test("a currency that the price does not name gives a whole interval's credits, and no share of one", async () => {
  const period = { priceId: "basic", amount: 1800, proration: false };
  const leftOut: unknown[] = [];
  const read = (line: typeof period) => {
    const lines = [{ ...line, quantity: 1, periodStart: start, periodEnd: end }];
    return readPaidLines(catalog, { currency: "eur", lines }, (it) => leftOut.push(it.amount));
  };
  expect(await creditsOf([period], "eur")).toBe(500);
  expect(leftOut).toEqual([]);
  expect(await read({ ...period, amount: 900, proration: true })).toEqual([]);
  // From a free trial.
  expect(await read({ ...period, amount: 0 })).toEqual([]);
  expect(leftOut).toEqual([900, 0]);
});

test("a price in tiers gives a whole interval's credits for each unit, and nothing for a share or for 0", async () => {
  const tiered = pricedPlan("tiered", 500, 999);
  const raw = { id: "tiered", object: "price", active: true, product: "p", currency: "usd" };
  const price = readPrice({ ...raw, recurring: { interval: "month" }, unit_amount: null });
  const findPricedPlan = async () => ({ ...tiered, price });
  const leftOut: unknown[] = [];
  const creditsFor = async (amount: number, proration: boolean) => {
    const line = { priceId: "tiered", quantity: 2, periodStart: start, periodEnd: end };
    const invoice = { currency: "usd", lines: [{ ...line, amount, proration }] };
    const paid = await readPaidLines({ findPricedPlan }, invoice, (it) => leftOut.push(it.amount));
    return scheduleGrants(paid, start).reduce((sum, { credits }) => sum + credits, 0);
  };
  expect(await creditsFor(1_500, false)).toBe(1_000);
  expect(leftOut).toEqual([]);
  expect(await creditsFor(700, true)).toBe(0);
  // A trial's, say.
  expect(await creditsFor(0, false)).toBe(0);
  expect(leftOut).toEqual([700, 0]);
});

test.each([
  ["an amount that does not divide by its units", "month", 3, 1_000, [1_500]],
  ["units of half a cent", "month", 100, 50, [50_000]],
  ["a year of units of half a cent", "year", 2, 1, Array.from({ length: 12 }, () => 1_000)],
] as const)(
  "a price without a whole amount gives every unit the plan's credits: %s",
  async (...row) => {
    const [, interval, quantity, amount, credits] = row;
    const { plan, price } = pricedPlan("odd", 500, 999);
    const findPricedPlan = async () => ({
      plan,
      price: { ...price, interval, unitAmount: null, amounts: new Map() },
    });
    const periodEnd = interval === "month" ? end : new Date("2028-01-10T12:00:00Z");
    const line = {
      priceId: "odd",
      amount,
      quantity,
      proration: false,
      periodStart: start,
      periodEnd,
    };
    const paid = await readPaidLines({ findPricedPlan }, { currency: "usd", lines: [line] });
    expect(scheduleGrants(paid, start).map((grant) => grant.credits)).toEqual(credits);
  },
);
