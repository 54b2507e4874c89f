// The life of a hold, step by step: what each step writes, refuses, and leaves alone.
import { describe, expect, test } from "vitest";
import type { Account, Hold } from "../../../server/ledger/model/account.ts";
import { expireOverdue } from "../../../server/ledger/operations/expire.ts";
import { release, reserve, settle } from "../../../server/ledger/operations/hold.ts";
import { refusal } from "../../support/code-of.ts";
import {
  accountWith,
  context,
  lot,
  NOW,
  remaining,
  reserving,
  userId,
} from "../../support/ledger-account.ts";
import { rawKey } from "../../support/operations.ts";

describe("reserve", () => {
  test("sets credits aside in spend order, for as long as asked", () => {
    const effect = reserve(accountWith([lot("a", 3), lot("b", 10)]), reserving(5), context("h"));
    expect(effect.account).toMatchObject({ credits: 13, held: 5, seq: 0 });
    expect(remaining(effect.account)).toEqual({ a: 3, b: 10 });
    expect(effect.account.holds).toEqual([
      {
        id: "h",
        userId,
        amount: 5,
        status: "ACTIVE",
        settledAmount: null,
        feature: "chat-pro",
        priceVersion: "v1",
        idempotencyKey: "ai:h",
        transactionId: null,
        lots: [
          ["a", 3],
          ["b", 2],
        ],
        endedBy: null,
        expiresAtMs: NOW + 60_000,
        createdAtMs: NOW,
        endedAtMs: null,
      },
    ]);
    expect(effect).toMatchObject({
      amountCredits: 5,
      transactionId: null,
      priceVersion: "v1",
      hold: { holdId: "h", expiresAt: new Date(NOW + 60_000) },
    });
    expect(effect.entries ?? []).toEqual([]);
  });

  test("refuses past what is free, a disabled user and a deleted one", () => {
    const account = accountWith([lot("a", 10)]);
    const first = reserve(account, reserving(6), context("h1")).account;
    expect(refusal(() => reserve(first, reserving(5), context("h2"))).code).toBe(
      "INSUFFICIENT_CREDITS",
    );
    expect(refusal(() => reserve(first, reserving(4), context("h2"))).code).toBe("OK");
    const off = { ...account, disabled: true };
    expect(refusal(() => reserve(off, reserving(1), context("h"))).code).toBe("FORBIDDEN");
    const gone = { ...account, deleted: true };
    expect(refusal(() => reserve(gone, reserving(1), context("h"))).code).toBe("NOT_FOUND");
  });

  test("counts the active holds of the key's scope alone", () => {
    const keyed = (key: string) => reserving(1, { idempotencyKey: rawKey(key), scopeLimit: 2 });
    let account = accountWith([lot("a", 10)]);
    for (const key of ["ai:1", "user:1", "aix:1"])
      account = reserve(
        account,
        reserving(1, { idempotencyKey: rawKey(key) }),
        context(key),
      ).account;
    account = reserve(account, keyed("ai:2"), context("ai:2")).account;
    expect(refusal(() => reserve(account, keyed("ai:3"), context("ai:3")))).toEqual({
      code: "RATE_LIMITED",
      details: { retryAfterSeconds: 1 },
    });
    // Without a limit the same key is accepted, and an ended hold no longer counts.
    expect(refusal(() => reserve(account, reserving(1), context("x"))).code).toBe("OK");
    const ending = { kind: "release" as const, userId, holdId: "ai:1" };
    const freed = release(account, ending, context("r")).account;
    expect(refusal(() => reserve(freed, keyed("ai:3"), context("ai:3"))).code).toBe("OK");
  });
});

describe("settle", () => {
  const held = (): Account =>
    reserve(accountWith([lot("a", 3), lot("b", 10)]), reserving(5), context("h")).account;
  const settling = (more: { amountCredits?: number } = {}) => ({
    kind: "settle" as const,
    userId,
    holdId: "h",
    ...more,
  });

  test("takes all of it unless told less, from the lots it covers", () => {
    const effect = settle(held(), settling(), context("op", NOW + 2_500));
    expect(effect.account).toMatchObject({ credits: 8, held: 0, counts: { USAGE: 1 } });
    expect(remaining(effect.account)).toEqual({ a: 0, b: 8 });
    expect(effect.account.holds).toMatchObject([
      {
        status: "SETTLED",
        settledAmount: 5,
        transactionId: "op",
        endedBy: "op",
        endedAtMs: NOW + 2_500,
      },
    ]);
    expect(effect.entries).toMatchObject([
      {
        id: "op",
        amount: -5,
        type: "USAGE",
        feature: "chat-pro",
        priceVersion: "v1",
        sourceId: "h",
        lots: [
          ["a", 3],
          ["b", 2],
        ],
      },
    ]);
    expect(effect.usage).toEqual({
      id: "op",
      userId,
      feature: "chat-pro",
      credits: 5,
      model: null,
      durationMs: 2_500,
      success: true,
      error: null,
      createdAtMs: NOW + 2_500,
    });
    expect(effect).toMatchObject({ amountCredits: 5, transactionId: "op", priceVersion: "v1" });
  });

  test("takes a part, or nothing without an entry, and refuses more than is held", () => {
    const part = settle(held(), settling({ amountCredits: 2 }), context("op"));
    expect(part.account).toMatchObject({ credits: 11, held: 0 });
    const none = settle(held(), settling({ amountCredits: 0 }), context("op"));
    expect(none).toMatchObject({ entries: [], amountCredits: 0, transactionId: null });
    expect(none.account).toMatchObject({ credits: 13, held: 0, seq: 0 });
    expect(none.account.holds).toMatchObject([
      { status: "SETTLED", settledAmount: 0, transactionId: null, endedBy: "op" },
    ]);
    expect(refusal(() => settle(held(), settling({ amountCredits: 6 }), context("op")))).toEqual({
      code: "VALIDATION_FAILED",
      details: { fields: { amount: ["At most 5."] } },
    });
    expect(refusal(() => settle(held(), settling({ amountCredits: 5 }), context("op"))).code).toBe(
      "OK",
    );
  });

  test("answers its own repeat as before and refuses another's, naming how the hold ended", () => {
    const after = settle(held(), settling({ amountCredits: 2 }), context("op")).account;
    expect(settle(after, settling(), context("op"))).toEqual({
      account: after,
      amountCredits: 2,
      transactionId: "op",
      priceVersion: "v1",
    });
    expect(refusal(() => settle(after, settling(), context("other"))).code).toBe("HOLD_NOT_ACTIVE");
    const absent = { ...settling(), holdId: "none" };
    expect(refusal(() => settle(after, absent, context("op"))).code).toBe("NOT_FOUND");
  });

  test("goes on to free credits, then to credits under other holds, then into debt, where its own lots were emptied", () => {
    const other = reserve(held(), reserving(6), context("h2")).account;
    // A refund took all of `a` and left four credits of `b`, all but one of them under the other hold.
    const cut: Account = {
      ...other,
      credits: 7,
      lots: [lot("a", 0), lot("b", 1), lot("c", 2), lot("d", 4)],
      holds: other.holds.map((hold) => (hold.id === "h2" ? { ...hold, lots: [["d", 4]] } : hold)),
    };
    const five = settle(cut, settling(), context("op"));
    // Its own (b: 1), the free ones (c: 2), then the other hold's (d: 2).
    expect(remaining(five.account)).toEqual({ a: 0, b: 0, c: 0, d: 2 });
    expect(five.account.credits).toBe(2);
    const poor = { ...cut, credits: 3, lots: [lot("a", 0), lot("b", 3)] };
    const deep = settle(poor, settling(), context("op"));
    expect(remaining(deep.account)).toEqual({ a: 0, b: 0 });
    expect(deep.account.credits).toBe(-2);
    expect(deep.entries).toMatchObject([{ amount: -5, lots: [["b", 3]] }]);
  });

  test("expires what its hold had kept alive", () => {
    const short = accountWith([lot("a", 9, { expiresAtMs: NOW + 10 })]);
    const kept = reserve(short, reserving(5), context("h")).account;
    const effect = settle(kept, settling({ amountCredits: 2 }), context("op", NOW + 20));
    expect(effect.entries).toMatchObject([
      { type: "USAGE", amount: -2 },
      { type: "EXPIRY", amount: -7, id: "op-new" },
    ]);
    expect(effect.account.credits).toBe(0);
  });

  test("keeps the usage it is told", () => {
    const usage = { model: "m", durationMs: 7, success: false, error: "cut" };
    const effect = settle(held(), { ...settling(), usage }, context("op"));
    expect(effect.usage).toMatchObject({ ...usage, credits: 5, feature: "chat-pro" });
    const bare = reserve(accountWith([lot("a", 9)]), reserving(5, { feature: null }), context("h"));
    expect(settle(bare.account, settling(), context("op", NOW - 5)).usage).toMatchObject({
      feature: "other",
      durationMs: 0,
    });
  });
});

describe("release", () => {
  const releasing = { kind: "release" as const, userId, holdId: "h" };

  test("gives the credits free again and writes a usage row only when told of a call", () => {
    const held = reserve(accountWith([lot("a", 9)]), reserving(5), context("h")).account;
    const effect = release(held, releasing, context("op", NOW + 1));
    expect(effect).toMatchObject({ entries: [], amountCredits: 0, transactionId: null });
    expect("usage" in effect).toBe(false);
    expect(effect.account).toMatchObject({ credits: 9, held: 0, seq: 0 });
    expect(effect.account.holds).toMatchObject([
      { status: "RELEASED", settledAmount: null, transactionId: null, endedBy: "op" },
    ]);
    const usage = { model: null, durationMs: 3, success: false, error: "provider" };
    expect(release(held, { ...releasing, usage }, context("op")).usage).toMatchObject({
      ...usage,
      credits: 0,
    });
    expect(release(effect.account, releasing, context("op"))).toEqual({
      account: effect.account,
      amountCredits: 0,
      transactionId: null,
    });
    expect(refusal(() => release(effect.account, releasing, context("other"))).code).toBe(
      "HOLD_NOT_ACTIVE",
    );
  });

  test("expires what its hold had kept alive", () => {
    const short = accountWith([lot("a", 9, { expiresAtMs: NOW + 10 })]);
    const kept = reserve(short, reserving(5), context("h")).account;
    const effect = release(kept, releasing, context("op", NOW + 20));
    expect(effect.entries).toMatchObject([{ type: "EXPIRY", amount: -9 }]);
    expect(effect.account).toMatchObject({ credits: 0, held: 0 });
  });
});

test("holds that expire together are ended in one pass", () => {
  const n = 2_000;
  let looks = 0;
  const account = accountWith([lot("a", n)]);
  const holds = Array.from({ length: n }, (_, i) => ({
    ...(reserve(account, reserving(1), context(`h${i}`, NOW - 100_000)).account.holds[0] as Hold),
    get id() {
      looks += 1;
      return `h${i}`;
    },
  }));
  const { account: after } = expireOverdue({ ...account, held: n, holds }, context("e"));
  expect(looks).toBeLessThan(10 * n);
  expect(after.held).toBe(0);
  expect(after.holds.map(({ id, status }) => `${id} ${status}`)).toEqual(
    holds.map(({ id }) => `${id} EXPIRED`),
  );
});
