// Each operation by itself, on accounts made by hand: what it writes, what it refuses, and what it leaves alone.
import { describe, expect, test } from "vitest";
import { isAppError } from "../../../server/lib/errors.ts";
import {
  type Account,
  type Lot,
  MAX_BALANCE_CREDITS,
} from "../../../server/ledger/model/account.ts";
import { decide } from "../../../server/ledger/operations/decide.ts";
import { adjust, carryDebt } from "../../../server/ledger/operations/adjust.ts";
import { release, reserve, settle } from "../../../server/ledger/operations/hold.ts";
import { spend } from "../../../server/ledger/operations/spend.ts";
import type { OperationContext } from "../../../server/ledger/model/operation-effect.ts";
import type { ReserveOperation, SpendOperation } from "../../../server/ledger/ports.ts";
import { rawKey } from "../../support/raw-key.ts";

const NOW = 1_700_000_000_000;
const userId = "user";

const lot = (id: string, remaining: number, more: Partial<Lot> = {}): Lot => ({
  id,
  userId,
  amount: remaining,
  remaining,
  source: "PURCHASE",
  sourceId: null,
  grantKey: `grant:${id}`,
  expiresAtMs: null,
  createdAtMs: NOW - 1_000,
  ...more,
});

const accountWith = (lots: readonly Lot[], more: Partial<Account> = {}): Account => ({
  userId,
  credits: lots.reduce((sum, { remaining }) => sum + remaining, 0),
  held: 0,
  seq: 0,
  counts: {},
  deleted: false,
  disabled: false,
  lots,
  holds: [],
  ...more,
});

const context = (operationId: string, nowMs = NOW): OperationContext => ({
  operationId,
  nowMs,
  newId: () => `${operationId}-new`,
  storedKey: undefined,
  storedGrant: undefined,
});

const spending = (amountCredits: number, more: Partial<SpendOperation> = {}): SpendOperation => ({
  kind: "spend",
  userId,
  feature: "chat-pro",
  amountCredits,
  priceVersion: "v1",
  idempotencyKey: rawKey("s"),
  ...more,
});

const reserving = (amountCredits: number, more: Partial<ReserveOperation> = {}) => ({
  kind: "reserve" as const,
  userId,
  feature: "chat-pro" as const,
  amountCredits,
  priceVersion: "v1",
  idempotencyKey: rawKey("ai:h"),
  ttlSeconds: 60,
  ...more,
});

/** The refusal's code and details; "none" when nothing was refused. */
function refusal(work: () => unknown): { code: string; details?: unknown } {
  try {
    work();
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { code: error.code, details: error.details };
  }
  return { code: "none" };
}

const remaining = (account: Account): Record<string, number> =>
  Object.fromEntries(account.lots.map((one) => [one.id, one.remaining]));

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
    expect(refusal(() => reserve(first, reserving(4), context("h2"))).code).toBe("none");
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
    // Without a limit the same key goes through, and an ended hold no longer counts.
    expect(refusal(() => reserve(account, reserving(1), context("x"))).code).toBe("none");
    const ending = { kind: "release" as const, userId, holdId: "ai:1" };
    const freed = release(account, ending, context("r")).account;
    expect(refusal(() => reserve(freed, keyed("ai:3"), context("ai:3"))).code).toBe("none");
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
      "none",
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
    // A refund took all of `a` and left of `b` four credits, all of them under the other hold but one.
    const cut: Account = {
      ...other,
      credits: 7,
      lots: [lot("a", 0), lot("b", 1), lot("c", 2), lot("d", 4)],
      holds: other.holds.map((hold) => (hold.id === "h2" ? { ...hold, lots: [["d", 4]] } : hold)),
    };
    const five = settle(cut, settling(), context("op"));
    // Its own (b: 1), the free ones (c: 2), the other hold's (d: 2).
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
    // What is taken has no end of its own.
    expect(refusal(() => adjust(account, correcting(-1, new Date(NOW)), context("op"))).code).toBe(
      "none",
    );
    const room = MAX_BALANCE_CREDITS - 2;
    expect(refusal(() => adjust(account, correcting(room), context("op"))).code).toBe("none");
    expect(refusal(() => adjust(account, correcting(room + 1), context("op")))).toMatchObject({
      code: "VALIDATION_FAILED",
    });
    const deep = -MAX_BALANCE_CREDITS - 2;
    expect(refusal(() => adjust(account, correcting(deep), context("op"))).code).toBe("none");
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
