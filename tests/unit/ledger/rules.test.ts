// The pure rules behave like an independent model, step by step, and keep every invariant.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Account, Entry, StoredKey } from "../../../server/ledger/model/account.ts";
import { decide } from "../../../server/ledger/operations/decide.ts";
import { accountWith, userId } from "../../support/ledger-account.ts";
import { createModel, type ModelAnswer, type ModelStep } from "../../support/ledger-model.ts";
import { operationOf, steps } from "../../support/ledger-steps.ts";

/** One user's account under the rules alone, with everything that a database would store. */
function createBook() {
  let account = accountWith([]);
  const entries: Entry[] = [];
  const keys = new Map<string, StoredKey>();
  const holdIds = new Map<string, string>();
  let ids = 0;

  function run(one: ModelStep, nowMs: number): ModelAnswer {
    const operation = operationOf(one, userId, nowMs, (name) => holdIds.get(name) ?? "none");
    if (operation === null) return { moved: 0, replayed: false };
    ids += 1;
    const decision = decide(account, operation, {
      operationId: `o${String(ids).padStart(6, "0")}`,
      nowMs,
      newId: () => `x${++ids}`,
      storedKey: "idempotencyKey" in operation ? keys.get(operation.idempotencyKey) : undefined,
      storedGrant:
        operation.kind === "grant"
          ? account.lots.find((lot) => lot.grantKey === operation.grantKey)
          : undefined,
    });
    account = decision.account;
    entries.push(...decision.entries);
    if (decision.key !== null) keys.set(decision.key.key, decision.key);
    if (!decision.outcome.ok) return { error: decision.outcome.error.code };
    const { result } = decision.outcome;
    if (one.do === "reserve" && "holdId" in result) holdIds.set(one.key, result.holdId);
    return { moved: result.amountCredits, replayed: result.replayed };
  }

  return { run, entries, account: () => account };
}

/** Returns the violated invariants; entries before `from` have already been checked. */
function broken(account: Account, entries: readonly Entry[], from: number, cut: boolean): string[] {
  const problems: string[] = [];
  const check = (holds: boolean, what: string) => {
    if (!holds) problems.push(what);
  };
  for (let index = from; index < entries.length; index += 1) {
    const entry = entries[index];
    const before = entries[index - 1]?.balance ?? 0;
    check(entry?.seq === index + 1, "seq without gaps");
    check(entry?.balance === before + (entry?.amount ?? 0), "running balance");
  }
  check(account.credits === (entries.at(-1)?.balance ?? 0), "credits = last balance");
  check(account.seq === entries.length, "seq = number of entries");
  const lots = account.lots.reduce((sum, lot) => sum + lot.remaining, 0);
  check(lots === Math.max(account.credits, 0), "lots add up to the credits");
  check(
    account.lots.every((lot) => lot.remaining >= 0 && lot.remaining <= lot.amount),
    "0 <= remaining <= amount",
  );
  const active = account.holds.filter((hold) => hold.status === "ACTIVE");
  const held = active.reduce((sum, hold) => sum + hold.amount, 0);
  check(account.held === held, "held = active holds");
  check(cut || held <= Math.max(account.credits, 0), "held <= credits");
  return problems;
}

describe("the rules", () => {
  test("agree with a model that moves one credit at a time", { timeout: 1_200_000 }, () => {
    fc.assert(
      fc.property(steps(100), (all) => {
        const book = createBook();
        const model = createModel();
        let nowMs = 1_700_000_000_000;
        let cut = false;
        for (const one of all) {
          if (one.do === "wait") nowMs += one.seconds * 1000;
          const before = book.account();
          const answer = book.run(one, nowMs);
          const { credits, held, seq, lots } = book.account();
          const left = lots.filter((lot) => lot.remaining > 0).map((lot) => lot.remaining);
          const mine = { answer, credits, held, available: credits - held, seq, left };
          const wanted = model.apply(one, nowMs);
          expect(mine).toEqual({ answer: wanted, ...model.position(), left: model.lots() });
          cut ||= one.do === "takeBack" || (one.do === "adjust" && one.amount < 0);
          expect(broken(book.account(), book.entries, before.seq, cut)).toEqual([]);
          const available = credits - held;
          // Invariant 3: only a refund, dispute or administrator may take more than is available.
          if (one.do !== "takeBack" && one.do !== "adjust")
            expect(available).toBeGreaterThanOrEqual(Math.min(0, before.credits - before.held));
        }
      }),
      { numRuns: process.env["FULL"] === "1" ? 20_000 : 400 },
    );
  });

  test("a disabled user spends nothing, a deleted one is not there, and both may be refunded", () => {
    const book = createBook();
    book.run({ do: "grant", key: "g1", amount: 10, source: "PURCHASE", ttl: null }, 1);
    const facts = {
      operationId: "o",
      nowMs: 2,
      newId: () => "x",
      storedKey: undefined,
      storedGrant: undefined,
    };
    const spend = operationOf({ do: "spend", key: "k1", amount: 1 }, userId, 2, () => "");
    const take = operationOf(
      { do: "takeBack", key: "t1", lot: "g1", amount: 4 },
      userId,
      2,
      () => "",
    );
    const disabled = { ...book.account(), disabled: true };
    const deleted = { ...book.account(), deleted: true };
    if (spend === null || take === null) throw new Error("not an operation");
    const codes = [disabled, deleted].map((account) => {
      const { outcome } = decide(account, spend, facts);
      return outcome.ok ? "ok" : outcome.error.code;
    });
    expect(codes).toEqual(["FORBIDDEN", "NOT_FOUND"]);
    expect(decide(deleted, take, facts).account.credits).toBe(6);
  });

  test("the key of another action with the same key is a conflict, also across kinds", () => {
    const book = createBook();
    book.run({ do: "grant", key: "g1", amount: 50, source: "PURCHASE", ttl: null }, 1);
    expect(book.run({ do: "spend", key: "h1", amount: 5 }, 2)).toEqual({
      moved: 5,
      replayed: false,
    });
    expect(book.run({ do: "reserve", key: "h1", amount: 5, ttl: 9 }, 2)).toEqual({
      error: "IDEMPOTENCY_CONFLICT",
    });
  });
});
