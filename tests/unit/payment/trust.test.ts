// What is trusted: preview tokens, event notices, shares of returned money, pauses between attempts.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { retryAfterMs } from "../../../server/adapters/stripe/calls.ts";
import { readNotice, verifyEvent } from "../../../server/adapters/stripe/webhook-events.ts";
import { matchesOffer } from "../../../server/payment/sync/checkout.sync.ts";
import { retryDelayMs } from "../../../server/payment/events/events.ts";
import { HANDLED_EVENTS, toSyncTarget } from "../../../server/payment/events/handled-events.ts";
import { computeTakeBacks } from "../../../server/payment/catalog/kept-credits.ts";
import {
  statusAfter,
  sumDisputes,
  sumRefunds,
} from "../../../server/payment/sync/payment-refunds.ts";
import { readPreview, signPreview } from "../../../server/payment/subscription/preview-token.ts";

const secret = "a-secret-of-thirty-two-characters";
const shown = {
  user: "u",
  subscription: "sub_1",
  fromPrice: "price_1",
  schedule: null,
  plan: "p",
  amountDue: 1000,
  currency: "usd",
  prorationAt: 1_800_000_000,
  shownAt: 1_800_000_000,
};
const soon = (1_800_000_000 + 60) * 1000;

describe("preview tokens", () => {
  it("are read back, also under an older secret, within ten minutes", () => {
    const token = signPreview(shown, [secret]);
    expect(token.length).toBeLessThan(1024);
    expect(readPreview(token, [secret], soon)).toEqual(shown);
    expect(readPreview(token, ["a-newer-secret-of-32-characters--", secret], soon)).toEqual(shown);
    expect(readPreview(token, [secret], soon + 600_000)).toBeNull();
  });

  it("are refused when any character changes, and under another secret", () => {
    const token = signPreview(shown, [secret]);
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom("A", "b", "-", "."), (at, letter) => {
        fc.pre(token[at] !== letter);
        const changed = token.slice(0, at) + letter + token.slice(at + 1);
        // The last letter of each part has spare bits, so a change there may decode the same.
        fc.pre(at !== token.length - 1);
        expect(readPreview(changed, [secret], soon)).toBeNull();
      }),
    );
    expect(readPreview(token, ["another-secret-of-32-characters--"], soon)).toBeNull();
    expect(readPreview(token, [], soon)).toBeNull();
    for (const bad of ["", ".", "a.b", "a.b.c", "💥.💥"])
      expect(readPreview(bad, [secret], soon)).toBeNull();
  });
});

describe("event notices", () => {
  it("never throws, whatever the JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(readNotice(value)).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (body, header) => {
        const options = { secrets: ["whsec_x"], livemode: false, nowMs: 0 };
        expect(verifyEvent(Buffer.from(body), header, options).ok).toBe(false);
      }),
    );
  });

  it("knows what each handled type is about, and nothing of others", () => {
    const object = (type: string) => {
      if (type.startsWith("checkout")) return "checkout.session";
      if (type.startsWith("invoice")) return "invoice";
      if (type.startsWith("customer")) return "subscription";
      if (type.startsWith("subscription_schedule")) return "subscription_schedule";
      if (type.startsWith("credit_note")) return "credit_note";
      if (type.includes("dispute")) return "dispute";
      return type === "charge.refunded" ? "charge" : "refund";
    };
    for (const type of HANDLED_EVENTS) {
      const notice = {
        type,
        objectId: "x_1",
        objectType: object(type),
        paymentIntentId: null,
        chargeId: "ch_1",
      };
      expect(toSyncTarget(notice), type).not.toBeNull();
      expect(toSyncTarget({ ...notice, type: "customer.created" })).toBeNull();
      expect(toSyncTarget({ ...notice, objectId: null })).toBeNull();
    }
    expect(HANDLED_EVENTS.length).toBeLessThanOrEqual(20);
  });
});

describe("money back", () => {
  it("counts what holds the money", () => {
    const refund = (amount: number, status: string) => ({
      id: "re",
      amount,
      status,
      paymentIntentId: null,
      orderKey: null,
      ordered: null,
    });
    expect(
      sumRefunds([
        refund(1, "succeeded"),
        refund(2, "pending"),
        refund(4, "failed"),
        refund(8, "canceled"),
        refund(16, "requires_action"),
      ]),
    ).toBe(19);
    const dispute = (amount: number, status: string) => ({ id: "dp", amount, status });
    expect(
      sumDisputes([
        dispute(1, "needs_response"),
        dispute(2, "under_review"),
        dispute(4, "lost"),
        dispute(8, "won"),
        dispute(16, "warning_needs_response"),
        dispute(32, "warning_closed"),
        dispute(64, "prevented"),
      ]),
    ).toBe(7);
  });

  it("never takes more than was given, less for less, all for all", () => {
    const money = fc.nat(1_000_000);
    fc.assert(
      fc.property(money, fc.nat(1_000_000), money, money, (amount, credits, refunded, disputed) => {
        const payment = { amount, total: null, creditsPurchased: credits };
        const taken = computeTakeBacks(payment, { refunded, credited: 0, disputed });
        const all = taken.byRefunds + taken.byDisputes;
        expect(taken.byRefunds).toBeGreaterThanOrEqual(0);
        expect(taken.byDisputes).toBeGreaterThanOrEqual(0);
        expect(all).toBeLessThanOrEqual(credits);
        if (amount > 0 && refunded + disputed >= amount) expect(all).toBe(credits);
        if (refunded + disputed === 0 || amount === 0) expect(all).toBe(0);
      }),
    );
  });

  it("names the state", () => {
    const of = (refunded: number, disputed: number) =>
      statusAfter({ amount: 500, total: null }, { refunded, credited: 0, disputed });
    expect([of(0, 0), of(1, 0), of(500, 0), of(500, 1)]).toEqual([
      ...["SUCCESS", "PARTIALLY_REFUNDED", "REFUNDED", "DISPUTED"],
    ]);
  });
});

describe("offers", () => {
  it("must match what was recorded: currency always, the amount before discounts and taxes", () => {
    const offer = { amount: 500, currency: "jpy" };
    expect(matchesOffer({ amountSubtotal: 500, currency: "jpy" }, offer)).toBe(true);
    expect(matchesOffer({ amountSubtotal: 5, currency: "jpy" }, offer)).toBe(false);
    expect(matchesOffer({ amountSubtotal: 500, currency: "usd" }, offer)).toBe(false);
  });
});

describe("pauses", () => {
  it("grow, and are bounded, however often it failed", () => {
    const pauses = Array.from({ length: 2_000 }, (_, n) => retryDelayMs(n, 0.5));
    expect(pauses.every((pause, n) => pause >= (pauses[n - 1] ?? 0))).toBe(true);
    expect(pauses.at(-1)).toBe(6 * 3_600_000);
    expect(retryDelayMs(2_000, 1)).toBe(6 * 3_600_000);
  });

  it("read Retry-After in seconds and as a date", () => {
    expect(retryAfterMs("2", 0)).toBe(2000);
    expect(retryAfterMs("Thu, 01 Jan 1970 00:00:10 GMT", 4000)).toBe(6000);
    expect(retryAfterMs("soon", 0)).toBeNull();
    expect(retryAfterMs(undefined, 0)).toBeNull();
    expect(retryAfterMs("", 0)).toBeNull();
  });
});
