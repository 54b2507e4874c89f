// Spends, corrections and carried debt separately: what each writes, refuses, and leaves alone.
import { describe, expect, test } from "vitest";
import { MAX_BALANCE_CREDITS } from "../../../server/ledger/model/account.ts";
import { decide } from "../../../server/ledger/operations/decide.ts";
import { adjust, carryDebt } from "../../../server/ledger/operations/adjust.ts";
import { reserve } from "../../../server/ledger/operations/hold.ts";
import { spend } from "../../../server/ledger/operations/spend.ts";
import { refusal } from "../../support/code-of.ts";
import {
  accountWith,
  context,
  lot,
  NOW,
  remaining,
  reserving,
  spending,
  userId,
} from "../../support/ledger-account.ts";
import { rawKey } from "../../support/operations.ts";

describe("spend", () => {
  test("writes one USAGE entry and one usage row of what was asked", () => {
    const before = accountWith([lot("a", 3), lot("b", 10)]);
    const effect = spend(before, spending(5, { metadata: { run: 1 } }), context("op"));
    expect(remaining(effect.account)).toEqual({ a: 0, b: 8 });
    expect(effect.account).toMatchObject({ credits: 8, held: 0, seq: 1, counts: { USAGE: 1 } });
    expect(effect.entries).toEqual([
      {
        id: "op",
        userId,
        seq: 1,
        amount: -5,
        balance: 8,
        type: "USAGE",
        feature: "chat-pro",
        description: null,
        lots: [
          ["a", 3],
          ["b", 2],
        ],
        priceVersion: "v1",
        sourceId: null,
        metadata: '{"run":1}',
        createdAtMs: NOW,
      },
    ]);
    expect(effect.usage).toEqual({
      id: "op",
      userId,
      feature: "chat-pro",
      credits: 5,
      model: null,
      durationMs: 0,
      success: true,
      error: null,
      createdAtMs: NOW,
    });
    expect(effect).toMatchObject({ amountCredits: 5, transactionId: "op", priceVersion: "v1" });
    expect(spend(before, spending(1), context("op")).entries?.[0]?.metadata).toBeNull();
  });

  test("takes all that is available and not one credit more; the refusal says by how much it is short", () => {
    const half = reserve(accountWith([lot("a", 10)]), reserving(4), context("h")).account;
    expect(spend(half, spending(6), context("op")).account.credits).toBe(4);
    expect(refusal(() => spend(half, spending(7), context("op")))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 7, available: 6, shortfall: 1, suggestedPackageId: null },
    });
  });
});

describe("an administrator's correction", () => {
  const correcting = (amountCredits: number, expiresAt: Date | null = null) => ({
    kind: "adjust" as const,
    userId,
    amountCredits,
    actorId: "admin",
    reason: "goodwill",
    idempotencyKey: rawKey("admin:1"),
    expiresAt,
  });
  const said = { type: "ADMIN_ADJUST", description: "goodwill", sourceId: "admin" };

  test("gives a lot of its own, until when it was told", () => {
    const until = new Date(NOW + 1);
    const effect = adjust(accountWith([lot("a", 2)]), correcting(5, until), context("op"));
    expect(effect.account.credits).toBe(7);
    expect(effect.entries).toMatchObject([{ ...said, amount: 5, lots: [["op", 5]] }]);
    expect(effect.account.lots.find(({ id }) => id === "op")).toMatchObject({
      grantKey: "adjust:op",
      source: "ADMIN_ADJUST",
      remaining: 5,
      expiresAtMs: NOW + 1,
    });
    const forEver = adjust(accountWith([]), correcting(5), context("op"));
    expect(forEver.account.lots[0]?.expiresAtMs).toBeNull();
  });

  test("takes what is there and goes into debt for the rest", () => {
    const effect = adjust(accountWith([lot("a", 2)]), correcting(-5), context("op"));
    expect(effect.account.credits).toBe(-3);
    expect(remaining(effect.account)).toEqual({ a: 0 });
    expect(effect.entries).toMatchObject([{ ...said, amount: -5, lots: [["a", 2]] }]);
    expect(effect).toMatchObject({ amountCredits: 5, transactionId: "op" });
  });

  test("refuses a deleted account, credits that would be gone already, and sums past the columns", () => {
    const account = accountWith([lot("a", 2)]);
    const gone = { ...account, deleted: true };
    for (const amount of [5, -5])
      expect(refusal(() => adjust(gone, correcting(amount), context("op"))).code).toBe("NOT_FOUND");
    expect(refusal(() => adjust(account, correcting(5, new Date(NOW)), context("op")))).toEqual({
      code: "VALIDATION_FAILED",
      details: { fields: { expiresAt: ["Name a moment in the future."] } },
    });
    // Credits that are taken away have no expiry.
    expect(refusal(() => adjust(account, correcting(-1, new Date(NOW)), context("op"))).code).toBe(
      "OK",
    );
    const room = MAX_BALANCE_CREDITS - 2;
    expect(refusal(() => adjust(account, correcting(room), context("op"))).code).toBe("OK");
    expect(refusal(() => adjust(account, correcting(room + 1), context("op")))).toMatchObject({
      code: "VALIDATION_FAILED",
    });
    const deep = -MAX_BALANCE_CREDITS - 2;
    expect(refusal(() => adjust(account, correcting(deep), context("op"))).code).toBe("OK");
    expect(refusal(() => adjust(account, correcting(deep - 1), context("op")))).toMatchObject({
      code: "VALIDATION_FAILED",
    });
  });
});

describe("carried debt", () => {
  const carrying = (amountCredits: number, sourceId: string) => ({
    kind: "carryDebt" as const,
    userId,
    amountCredits,
    sourceId,
    idempotencyKey: rawKey("debt:1"),
  });
  const said = { type: "ADMIN_ADJUST", description: "Debt of a deleted account" };

  test("leaves the erased account at nothing, with no credits to spend", () => {
    const erased = accountWith([], { credits: -30, deleted: true });
    const effect = carryDebt(erased, carrying(30, "new"), context("op"));
    expect(effect.account.credits).toBe(0);
    expect(effect.entries).toMatchObject([{ ...said, amount: 30, sourceId: "new" }]);
    expect(effect.account.lots).toMatchObject([
      { grantKey: "debt:op", amount: 30, remaining: 0, expiresAtMs: null, source: "ADMIN_ADJUST" },
    ]);
  });

  test("arrives at the new account, its sign-up credits first", () => {
    const effect = carryDebt(accountWith([lot("a", 20)]), carrying(-30, "old"), context("op"));
    expect(effect.account.credits).toBe(-10);
    expect(remaining(effect.account)).toEqual({ a: 0 });
    expect(effect.entries).toMatchObject([{ ...said, amount: -30, sourceId: "old" }]);
  });
});

test("a refused operation still expires what is over, and writes no key", () => {
  const account = accountWith([lot("a", 9, { expiresAtMs: NOW })]);
  const decision = decide(account, spending(1), context("op"));
  expect(decision.outcome).toMatchObject({ ok: false, error: { code: "INSUFFICIENT_CREDITS" } });
  expect(decision.entries).toMatchObject([{ type: "EXPIRY", amount: -9 }]);
  expect(decision).toMatchObject({ key: null, usage: null, account: { credits: 0 } });
});
