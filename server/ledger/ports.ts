// The ledger's operations, the result of each, and the port through which the rest of the server uses it.
import type { EntryType } from "../../shared/src/credit.ts";
import type { Feature } from "../../shared/src/features.ts";
import type { DatabaseTransaction } from "../database/ports.ts";
import type { IdempotencyKey } from "./idempotency-key.ts";

/*
 * Keys. `idempotencyKey` is unique per user and carries its scope (idempotency-key.ts), so
 * that two kinds of callers can neither collide with nor replay one another. `grantKey` is unique
 * across all users and names the cause: `payment:<paymentId>`, `signup:<identityId>`, …
 * The key of a payment's grant MUST be `payment:<paymentId>`, or begin with that and another `:`,
 * because the doctor matches payments and grants by it.
 */

/** Takes `amountCredits` now. Refused with INSUFFICIENT_CREDITS when `available` is short. */
export interface SpendOperation {
  readonly kind: "spend";
  readonly userId: string;
  readonly feature: Feature;
  readonly amountCredits: number;
  readonly priceVersion: string;
  readonly idempotencyKey: IdempotencyKey;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Sets `amountCredits` aside until settled, released or `ttlSeconds` from now. */
export interface ReserveOperation {
  readonly kind: "reserve";
  readonly userId: string;
  readonly amountCredits: number;
  readonly feature: Feature | null;
  readonly priceVersion: string | null;
  readonly idempotencyKey: IdempotencyKey;
  readonly ttlSeconds: number;
  /**
   * Maximum number of the user's ACTIVE holds whose keys share this key's scope (the part before the first `:`).
   * Throws RATE_LIMITED beyond that. Counted under the user's row lock, so the limit applies across all instances.
   */
  readonly scopeLimit?: number;
}

/** What usage_logs records about one call of a feature. */
export interface UsageFacts {
  /** The AI model that did the work. */
  readonly model: string | null;
  readonly durationMs: number;
  readonly success: boolean;
  /** A short reason if the call failed; never a stack trace or a secret. */
  readonly error: string | null;
  /** As counted by the provider; omitted where it did not. */
  readonly inputTokens?: number | null;
  readonly outputTokens?: number | null;
}

/** Ends a hold by taking 0..held credits (defaults to all). Throws HOLD_NOT_ACTIVE when it has already ended. */
export interface SettleOperation {
  readonly kind: "settle";
  readonly userId: string;
  readonly holdId: string;
  readonly amountCredits?: number;
  /** For the usage row. Defaults to a success that lasted as long as the hold did. */
  readonly usage?: UsageFacts;
}

/** Ends a hold without taking anything. Writes a usage row only if `usage` is given (a call that failed). */
export interface ReleaseOperation {
  readonly kind: "release";
  readonly userId: string;
  readonly holdId: string;
  readonly usage?: UsageFacts;
}

/** Gives credits as a separate lot, paying debt first. Once per `grantKey`: a repeat returns `replayed: true`. */
export interface GrantOperation {
  readonly kind: "grant";
  readonly userId: string;
  readonly amountCredits: number;
  /** REFUND gives back what was taken for a refund that failed afterwards. */
  readonly source: Extract<
    EntryType,
    "SIGNUP" | "PURCHASE" | "SUBSCRIPTION" | "REFUND" | "DISPUTE_REVERSAL"
  >;
  readonly sourceId: string | null;
  readonly grantKey: string;
  readonly expiresAt: Date | null;
  readonly description: string;
}

/**
 * Takes credits back: from the lot of `grantKey` first, then from the other lots, and the rest as debt.
 * Once per `idempotencyKey`.
 */
export interface TakeBackOperation {
  readonly kind: "takeBack";
  readonly userId: string;
  readonly amountCredits: number;
  readonly type: Extract<EntryType, "REFUND" | "DISPUTE">;
  readonly sourceId: string;
  readonly grantKey: string;
  readonly idempotencyKey: IdempotencyKey;
  readonly description: string;
}

/** An administrator's correction, up or down, into debt if necessary. Throws NOT_FOUND for a deleted account. */
export interface AdjustOperation {
  readonly kind: "adjust";
  readonly userId: string;
  /** Positive gives, negative takes. */
  readonly amountCredits: number;
  readonly actorId: string;
  readonly reason: string;
  readonly idempotencyKey: IdempotencyKey;
  readonly expiresAt: Date | null;
}

/**
 * One side of moving debt from an erased account to the same person's new account: positive on the erased account,
 * negative on the new one. Both sides belong in one transaction.
 */
export interface CarryDebtOperation {
  readonly kind: "carryDebt";
  readonly userId: string;
  readonly amountCredits: number;
  /** The account on the other side. */
  readonly sourceId: string;
  readonly idempotencyKey: IdempotencyKey;
}

/** Takes what is left in the user's expired lots, except credits under a hold. */
interface ExpireLotsOperation {
  readonly kind: "expireLots";
  readonly userId: string;
}

/** Ends the user's expired holds. */
interface ExpireHoldsOperation {
  readonly kind: "expireHolds";
  readonly userId: string;
}

export type LedgerOperation =
  | SpendOperation
  | ReserveOperation
  | SettleOperation
  | ReleaseOperation
  | GrantOperation
  | TakeBackOperation
  | AdjustOperation
  | CarryDebtOperation
  | ExpireLotsOperation
  | ExpireHoldsOperation;

/** The user's balance right after the operation. `seq` is the number of entries. */
interface Position {
  readonly credits: number;
  readonly held: number;
  readonly available: number;
  readonly seq: number;
}

/** The result of every operation. */
export interface OperationResult extends Position {
  /** Id of the entry written; null when there is none (reserve, release, settle at 0, expiries). */
  readonly transactionId: string | null;
  /** Whether the key was used before with the same input, so that this is the first result again. */
  readonly replayed: boolean;
  /** Credits that moved (positive for spends, settles and take-backs, too). */
  readonly amountCredits: number;
  /** Version of the price table the charge was made under; null where no price was involved. */
  readonly priceVersion: string | null;
}

/** The result of a reserve. */
export interface HoldResult extends OperationResult {
  readonly holdId: string;
  readonly expiresAt: Date;
}

/** The result type of each kind of operation. */
export type ResultOf<Operation extends LedgerOperation> = Operation extends ReserveOperation
  ? HoldResult
  : OperationResult;

/** The sole writer of credits. */
export interface Ledger {
  /**
   * Queues one operation for the next batch and resolves once it is committed.
   * Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, HOLD_NOT_ACTIVE, NOT_FOUND (no such user or hold),
   * FORBIDDEN (disabled user), RATE_LIMITED (`scopeLimit`), VALIDATION_FAILED (malformed input, a balance or debt that
   * would grow too large), SERVICE_UNAVAILABLE (queue full, database unavailable, outcome unknown, server stopping).
   */
  submit<Operation extends LedgerOperation>(operation: Operation): Promise<ResultOf<Operation>>;
  /**
   * Applies operations inside the caller's transaction, under the same rules and row locks, so that they commit
   * together with the caller's other rows. Call `changed` with the user ids once that transaction has committed.
   */
  applyIn<Operation extends LedgerOperation>(
    tx: DatabaseTransaction,
    operations: readonly Operation[],
  ): Promise<ResultOf<Operation>[]>;
  /** Drops cached balances and notifies every instance's `onChange` subscribers. Never throws. */
  changed(userIds: readonly string[]): Promise<void>;
  /** Operations queued or in flight. */
  readonly pending: number;
  /** Refuses new operations and finishes the queued ones. */
  close(): Promise<void>;
}
