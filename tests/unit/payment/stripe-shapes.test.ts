// How Stripe's answers are interpreted where they are ambiguous.
import type Stripe from "stripe";
import { expect, test } from "vitest";
import { createStripeClient } from "../../../server/adapters/stripe/client.ts";
import {
  readCheckout,
  readPrice,
  readSubscription,
} from "../../../server/adapters/stripe/parse.ts";
import { readSchedule } from "../../../server/adapters/stripe/parse-schedule.ts";
import { checkKey } from "../../../server/adapters/stripe/prices.ts";

test("a checkout session that is paid counts as complete, whatever it says", () => {
  const session = { id: "cs_1", object: "checkout.session", status: "open", created: 1 };
  const read = (paymentStatus: string) =>
    readCheckout({ ...session, payment_status: paymentStatus, currency: "USD" });
  expect(read("paid")).toMatchObject({ status: "complete", currency: "usd" });
  expect(read("unpaid")).toMatchObject({ status: "open" });
});

test("the terms of a schedule's phase are read as they are said again, and what is not set is left out", () => {
  const taxRate = (id: string) => ({ id, object: "tax_rate", percentage: 19 });
  const discounts = [{ coupon: null, discount: "di_1", promotion_code: null }];
  const phase = {
    add_invoice_items: [{ price: "price_2", quantity: 1 }],
    application_fee_percent: null,
    automatic_tax: { disabled_reason: null, enabled: true, liability: { type: "self" } },
    billing_cycle_anchor: "phase_start",
    billing_thresholds: { amount_gte: null, reset_billing_cycle_anchor: null },
    collection_method: "charge_automatically",
    default_payment_method: { id: "pm_1", object: "payment_method" },
    default_tax_rates: [taxRate("txr_1")],
    description: null,
    discounts,
    end_date: 2,
    invoice_settings: { account_tax_ids: null, days_until_due: null, issuer: { type: "self" } },
    items: [
      {
        discounts,
        metadata: { seat: "a" },
        price: "price_1",
        quantity: 2,
        tax_rates: [taxRate("t")],
      },
    ],
    metadata: {},
    on_behalf_of: null,
    start_date: 1,
    transfer_data: null,
    trial_end: null,
  };
  const schedule = {
    id: "sub_sched_1",
    object: "subscription_schedule",
    status: "active",
    subscription: "sub_1",
    current_phase: { start_date: 1, end_date: 2 },
    end_behavior: "cancel",
    phases: [phase],
  };
  expect(readSchedule(schedule)).toMatchObject({
    endsSubscription: true,
    currentStart: new Date(1_000),
  });
  const [read] = readSchedule(schedule).phases;
  expect(read?.terms).toEqual({
    automatic_tax: { enabled: true, liability: { type: "self" } },
    collection_method: "charge_automatically",
    default_payment_method: "pm_1",
    default_tax_rates: ["txr_1"],
    invoice_settings: { issuer: { type: "self" } },
  });
  expect(read?.items).toEqual([
    { priceId: "price_1", quantity: 2, terms: { metadata: { seat: "a" }, tax_rates: ["t"] } },
  ]);
});

test("a price tells what it costs in each of its currencies, its own among them", () => {
  const price = { id: "price_1", object: "price", active: true, product: "prod_1" };
  const read = (more: object) =>
    Object.fromEntries(readPrice({ ...price, currency: "usd", unit_amount: 999, ...more }).amounts);
  expect(read({})).toEqual({ usd: 999 });
  const options = { usd: { unit_amount: 999 }, eur: { unit_amount: 900 }, gbp: { tiers: [] } };
  expect(read({ currency_options: options })).toEqual({ usd: 999, eur: 900 });
});

test("a price in tiers or in fractions of a cent states no amount, instead of costing nothing", () => {
  const price = { id: "price_1", object: "price", active: true, product: "prod_1" };
  for (const decimal of [null, "0.5"]) {
    const raw = { ...price, currency: "usd", unit_amount: null, unit_amount_decimal: decimal };
    const options = { usd: raw, eur: { unit_amount: 900 } };
    expect(readPrice(raw)).toMatchObject({ unitAmount: null, amounts: new Map() });
    const { amounts } = readPrice({ ...raw, currency_options: options });
    expect(amounts).toEqual(new Map([["eur", 900]]));
  }
});

test("the discounts of a subscription are read by id, expanded or not", () => {
  const price = { id: "price_1", object: "price", currency: "usd" };
  const period = { current_period_start: 1, current_period_end: 2 };
  const item = { id: "si_1", object: "subscription_item", price, discounts: ["di_2"], ...period };
  const subscription = {
    id: "sub_1",
    object: "subscription",
    customer: "cus_1",
    status: "active",
    items: { object: "list", data: [item] },
    billing_cycle_anchor: 1,
    cancel_at_period_end: false,
    created: 1,
    discounts: ["di_1", { id: "di_3", object: "discount" }],
  };
  const read = readSubscription(subscription);
  expect(read.discountIds).toEqual(["di_1", "di_3"]);
  expect(read.items[0].discountIds).toEqual(["di_2"]);
});

test("a key is accepted only by Stripe's own list of prices, whatever else answers 200", async () => {
  const check = (answer: unknown) => {
    const sdk = { prices: { list: () => Promise.resolve(answer) } } as unknown as Stripe;
    const limits = { attemptTimeoutMs: 1_000, deadlineMs: 1_000, maxAttempts: 1, baseDelayMs: 1 };
    return checkKey(createStripeClient(sdk, limits));
  };
  expect(await check({ object: "list", data: [], has_more: false })).toBe("accepted");
  for (const answer of [{}, "<html>", { object: "list", data: [{}] }])
    await expect(check(answer)).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
});
