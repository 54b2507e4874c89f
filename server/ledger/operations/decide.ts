// Decides one operation on one account. Pure: an account and an operation in, a new account and rows out.
import { type AppError, isAppError } from "../../lib/errors.ts";
import { encodeAnswer, inputHash, type KeyedOperation, replay } from "../idempotency.ts";
import { type Account, availableCredits, type StoredKey } from "../model/account.ts";
import type {
  Decision,
  Effect,
  OperationContext,
  OperationHandler,
} from "../model/operation-effect.ts";
import type { HoldResult, LedgerOperation, OperationResult } from "../ports.ts";
import { adjust, carryDebt } from "./adjust.ts";
import { expire, expireOverdue } from "./expire.ts";
import { grant } from "./grant.ts";
import { release, reserve, settle } from "./hold.ts";
import { spend } from "./spend.ts";
import { takeBack } from "./take-back.ts";

/** The handler of each kind of operation. */
const HANDLERS: { readonly [Kind in LedgerOperation["kind"]]: OperationHandler<Kind> } = {
  spend,
  reserve,
  settle,
  release,
  grant,
  takeBack,
  adjust,
  carryDebt,
  expireLots: expire,
  expireHolds: expire,
};

/**
 * Decides one operation. Returns refusals (AppError) in `outcome`. Anything it throws is a bug or a poisoned operation,
 * and changes nothing.
 */
export function decide(
  account: Account,
  operation: LedgerOperation,
  context: OperationContext,
): Decision {
  const keyed = "idempotencyKey" in operation ? operation : null;
  if (keyed !== null && context.storedKey !== undefined)
    return replayStored(account, keyed, context.storedKey, context.operationId);
  const before = expireOverdue(account, context);
  try {
    const handle = HANDLERS[operation.kind] as OperationHandler<LedgerOperation["kind"]>;
    const effect = handle(before.account, operation, context);
    const result = resultOf(effect);
    return {
      account: effect.account,
      entries: [...before.entries, ...(effect.entries ?? [])],
      usage: effect.usage ?? null,
      key: keyed === null ? null : keyOf(keyed, result, context),
      outcome: { ok: true, result },
    };
  } catch (error) {
    if (!isAppError(error) || error.code === "INTERNAL") throw error;
    return { ...unchanged(before.account), entries: before.entries, outcome: refused(error) };
  }
}

function replayStored(
  account: Account,
  operation: KeyedOperation,
  stored: StoredKey,
  operationId: string,
): Decision {
  try {
    const result = replay(stored, inputHash(operation), operationId);
    return { ...unchanged(account), outcome: { ok: true, result } };
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { ...unchanged(account), outcome: refused(error) };
  }
}

function unchanged(account: Account): Omit<Decision, "outcome"> {
  return { account, entries: [], usage: null, key: null };
}

function refused(error: AppError): Decision["outcome"] {
  return { ok: false, error };
}

function keyOf(
  operation: KeyedOperation,
  result: OperationResult,
  context: OperationContext,
): StoredKey {
  return {
    userId: operation.userId,
    key: operation.idempotencyKey,
    inputHash: inputHash(operation),
    answer: encodeAnswer(result),
    createdAtMs: context.nowMs,
  };
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
