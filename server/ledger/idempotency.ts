// Idempotency: what counts as the same input, and how the first result is stored and replayed.
import { hash as hashOf } from "node:crypto";
import { AppError } from "../lib/errors.ts";
import type { StoredKey } from "./model/account.ts";
import type {
  AdjustOperation,
  CarryDebtOperation,
  HoldResult,
  OperationResult,
  ReserveOperation,
  SpendOperation,
  TakeBackOperation,
} from "./ports.ts";

/** The operations that carry an idempotency key. */
export type KeyedOperation =
  | SpendOperation
  | ReserveOperation
  | TakeBackOperation
  | AdjustOperation
  | CarryDebtOperation;

/**
 * Returns what the caller asked for. The price is not part of it, because the server sets it: a retry after a price
 * change is still the same input, and gets the first charge's result.
 */
function inputOf(operation: KeyedOperation): unknown[] {
  switch (operation.kind) {
    case "spend":
      return ["spend", operation.feature, sorted(operation.metadata)];
    case "reserve":
      return [
        "reserve",
        operation.feature,
        operation.feature === null ? operation.amountCredits : null,
        operation.ttlSeconds,
      ];
    case "takeBack":
      return ["takeBack", operation.type, operation.amountCredits, operation.sourceId];
    case "adjust":
      return [
        "adjust",
        operation.amountCredits,
        operation.reason,
        operation.expiresAt?.toISOString() ?? null,
      ];
    case "carryDebt":
      return ["carryDebt", operation.amountCredits, operation.sourceId];
  }
}

function sorted(metadata: Readonly<Record<string, unknown>> | undefined): unknown {
  if (metadata === undefined) return null;
  return Object.entries(inKeyOrder(metadata));
}

/** Sorts the keys of a JSON object and of the objects inside it, because their order carries no meaning. */
function inKeyOrder(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const ordered = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(ordered.map(([key, one]) => [key, withKeysInOrder(one)]));
}

function withKeysInOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withKeysInOrder);
  if (typeof value !== "object" || value === null) return value;
  return inKeyOrder(value as Record<string, unknown>);
}

/** Returns the SHA-256 of the operation's input (43 characters of base64url). */
export function inputHash(operation: KeyedOperation): string {
  return hashOf("sha256", JSON.stringify(inputOf(operation)), "base64url");
}

interface StoredAnswer {
  /** `t`, `h` and `e`: the transactionId, the holdId, and the hold's expiry in milliseconds since 1970. */
  t: string | null;
  h?: string;
  e?: number;
  a: number;
  c: number;
  d: number;
  q: number;
  p: string | null;
}

/** Returns a result as it is stored under its key. */
export function encodeAnswer(result: OperationResult | HoldResult): string {
  const answer: StoredAnswer = {
    t: result.transactionId,
    ...("holdId" in result ? { h: result.holdId, e: result.expiresAt.getTime() } : {}),
    a: result.amountCredits,
    c: result.credits,
    d: result.held,
    q: result.seq,
    p: result.priceVersion,
  };
  return JSON.stringify(answer);
}

/**
 * Returns the first result again. `replayed` is false when the stored effect is this very operation's: its commit had
 * an unknown outcome, and the key shows that it succeeded. Throws IDEMPOTENCY_CONFLICT when the input differs.
 */
export function replay(
  stored: StoredKey,
  hash: string,
  operationId: string,
): OperationResult | HoldResult {
  if (stored.inputHash !== hash)
    throw AppError.of(
      "IDEMPOTENCY_CONFLICT",
      "This idempotency key was used before for something else. Use a new key for a new action.",
    );
  const answer = JSON.parse(stored.answer) as StoredAnswer;
  const result: OperationResult = {
    transactionId: answer.t,
    replayed: (answer.t ?? answer.h) !== operationId,
    amountCredits: answer.a,
    priceVersion: answer.p,
    credits: answer.c,
    held: answer.d,
    available: answer.c - answer.d,
    seq: answer.q,
  };
  if (answer.h === undefined) return result;
  return { ...result, holdId: answer.h, expiresAt: new Date(answer.e ?? 0) };
}
