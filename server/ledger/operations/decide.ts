// Owns what each operation does to an account. Pure: an account and an operation in, a new account and rows out.
import { AppError, assert, isAppError } from "../../lib/errors.ts";
import {
  type Account,
  append,
  availableCredits,
  type Entry,
  type StoredKey,
  type UsageRow,
} from "../model/account.ts";
import { draft, type Effect, type Facts } from "../model/operation-effect.ts";
import { adjust, carryDebt, grant, takeBack } from "./grant.ts";
import {
  chargeHold,
  checkScopeLimit,
  endHold,
  findHold,
  openHold,
  requireActive,
  requireAvailable,
  sweep,
} from "./hold.ts";
import { encodeAnswer, inputHash, type KeyedOperation, replay } from "../idempotency.ts";
import { freeIn, pick, without } from "../model/lots.ts";
import type {
  HoldResult,
  LedgerOperation,
  OperationResult,
  ReleaseOperation,
  ReserveOperation,
  SettleOperation,
  SpendOperation,
} from "../ports.ts";

/** What came of one operation. A refusal may still have swept what time had ended. */
export interface Decision {
  readonly account: Account;
  readonly entries: readonly Entry[];
  readonly usage: UsageRow | null;
  readonly key: StoredKey | null;
  readonly outcome:
    | { readonly ok: true; readonly result: OperationResult | HoldResult }
    | { readonly ok: false; readonly error: AppError };
}

/**
 * Decides one operation. Refusals (AppError) come back in `outcome`; anything thrown is a defect or a poisoned
 * operation and changes nothing.
 */
export function decide(account: Account, operation: LedgerOperation, facts: Facts): Decision {
  const keyed = "idempotencyKey" in operation ? operation : null;
  if (keyed !== null && facts.storedKey !== undefined)
    return replayed(account, keyed, facts.storedKey, facts.operationId);
  const before = sweep(account, facts.newId, facts.nowMs);
  try {
    const effect = apply(before.account, operation, facts);
    const result = resultOf(effect);
    return {
      account: effect.account,
      entries: [...before.entries, ...(effect.entries ?? [])],
      usage: effect.usage ?? null,
      key:
        keyed === null
          ? null
          : {
              userId: account.userId,
              key: keyed.idempotencyKey,
              inputHash: inputHash(keyed),
              answer: encodeAnswer(result),
              createdAtMs: facts.nowMs,
            },
      outcome: { ok: true, result },
    };
  } catch (error) {
    if (!isAppError(error) || error.code === "INTERNAL") throw error;
    return {
      account: before.account,
      entries: before.entries,
      usage: null,
      key: null,
      outcome: { ok: false, error },
    };
  }
}

function replayed(
  account: Account,
  operation: KeyedOperation,
  stored: StoredKey,
  operationId: string,
): Decision {
  const unchanged = { account, entries: [], usage: null, key: null };
  try {
    const result = replay(stored, inputHash(operation), operationId);
    return { ...unchanged, outcome: { ok: true, result } };
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { ...unchanged, outcome: { ok: false, error } };
  }
}

function resultOf(effect: Effect): OperationResult | HoldResult {
  const { account } = effect;
  const result: OperationResult = {
    transactionId: effect.transactionId,
    replayed: effect.replayed ?? false,
    amountCredits: effect.amountCredits,
    priceVersion: effect.priceVersion ?? null,
    credits: account.credits,
    held: account.held,
    available: availableCredits(account),
    seq: account.seq,
  };
  return effect.hold === undefined ? result : { ...result, ...effect.hold };
}

function apply(account: Account, operation: LedgerOperation, facts: Facts): Effect {
  switch (operation.kind) {
    case "spend":
      return spend(account, operation, facts);
    case "reserve":
      return reserve(account, operation, facts);
    case "settle":
      return settle(account, operation, facts);
    case "release":
      return release(account, operation, facts);
    case "grant":
      return grant(account, operation, facts);
    case "takeBack":
      return takeBack(account, operation, facts);
    case "adjust":
      return adjust(account, operation, facts);
    case "carryDebt":
      return carryDebt(account, operation, facts);
    case "expireLots":
    case "expireHolds":
      // The sweep before every decision has done it.
      return { account, amountCredits: 0, transactionId: null };
  }
}

function requireSpender(account: Account): void {
  if (account.deleted) throw AppError.of("NOT_FOUND", "There is no such user.");
  if (account.disabled) throw AppError.of("FORBIDDEN", "This account is disabled.");
}

function spend(account: Account, operation: SpendOperation, facts: Facts): Effect {
  requireSpender(account);
  requireAvailable(account, operation.amountCredits);
  const { shares, total } = pick(account.lots, operation.amountCredits, freeIn(account.holds));
  assert(total === operation.amountCredits, "available credits lie free in open lots");
  const { account: after, entry } = append(
    { ...account, lots: without(account.lots, shares) },
    {
      ...draft(facts, -operation.amountCredits, shares),
      type: "USAGE",
      feature: operation.feature,
      priceVersion: operation.priceVersion,
      metadata: operation.metadata === undefined ? null : JSON.stringify(operation.metadata),
    },
  );
  return {
    account: after,
    entries: [entry],
    usage: {
      id: facts.operationId,
      userId: account.userId,
      feature: operation.feature,
      credits: operation.amountCredits,
      model: null,
      durationMs: 0,
      success: true,
      error: null,
      createdAtMs: facts.nowMs,
    },
    amountCredits: operation.amountCredits,
    transactionId: entry.id,
    priceVersion: operation.priceVersion,
  };
}

function reserve(account: Account, operation: ReserveOperation, facts: Facts): Effect {
  requireSpender(account);
  checkScopeLimit(account, operation);
  requireAvailable(account, operation.amountCredits);
  const { account: after, hold } = openHold(account, operation, facts.operationId, facts.nowMs);
  return {
    account: after,
    amountCredits: hold.amount,
    transactionId: null,
    priceVersion: hold.priceVersion,
    hold: { holdId: hold.id, expiresAt: new Date(hold.expiresAtMs) },
  };
}

function settle(account: Account, operation: SettleOperation, facts: Facts): Effect {
  const hold = findHold(account, operation.holdId);
  const priceVersion = hold.priceVersion;
  if (hold.endedBy === facts.operationId)
    return {
      account,
      amountCredits: hold.settledAmount ?? 0,
      transactionId: hold.transactionId,
      priceVersion,
    };
  requireActive(hold);
  const amountCredits = operation.amountCredits ?? hold.amount;
  if (amountCredits > hold.amount)
    throw AppError.of(
      "VALIDATION_FAILED",
      `At most the ${hold.amount} held credits can be taken.`,
      {
        fields: { amount: [`At most ${hold.amount}.`] },
      },
    );
  const charged = chargeHold(
    account,
    hold,
    operation,
    amountCredits,
    facts.operationId,
    facts.nowMs,
  );
  const after = sweep(charged.account, facts.newId, facts.nowMs);
  return {
    account: after.account,
    entries: [...charged.entries, ...after.entries],
    usage: {
      id: facts.operationId,
      userId: account.userId,
      feature: hold.feature ?? "other",
      credits: amountCredits,
      model: operation.usage?.model ?? null,
      durationMs: operation.usage?.durationMs ?? Math.max(0, facts.nowMs - hold.createdAtMs),
      success: operation.usage?.success ?? true,
      error: operation.usage?.error ?? null,
      inputTokens: operation.usage?.inputTokens ?? null,
      outputTokens: operation.usage?.outputTokens ?? null,
      createdAtMs: facts.nowMs,
    },
    amountCredits,
    transactionId: amountCredits === 0 ? null : facts.operationId,
    priceVersion,
  };
}

function release(account: Account, operation: ReleaseOperation, facts: Facts): Effect {
  const hold = findHold(account, operation.holdId);
  if (hold.endedBy === facts.operationId) return { account, amountCredits: 0, transactionId: null };
  requireActive(hold);
  const end = { settledAmount: null, transactionId: null, endedBy: facts.operationId };
  const ended = endHold(account, hold, { status: "RELEASED", ...end }, facts.nowMs);
  const after = sweep(ended, facts.newId, facts.nowMs);
  const usage = operation.usage && {
    ...operation.usage,
    id: facts.operationId,
    userId: account.userId,
    feature: hold.feature ?? "other",
    credits: 0,
    createdAtMs: facts.nowMs,
  };
  return { ...after, ...(usage && { usage }), amountCredits: 0, transactionId: null };
}
