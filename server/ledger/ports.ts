// The ledger's operations, what each answers, and the port through which the rest of the server uses it.
import type { EntryType } from "../../shared/src/credit.ts";
import type { Feature } from "../../shared/src/features.ts";
import type { DatabaseTransaction } from "../database/ports.ts";
import type { IdempotencyKey } from "./idempotency-key.ts";

/*
 * Keys. `idempotencyKey` is unique per user and carries its scope (idempotency-key.ts), so
 * that two kinds of callers can neither collide with nor replay one another. `grantKey` is unique
 * over all users and names the cause: `payment:<paymentId>`, `signup:<identityId>`, …
 * The grant of a payment MUST be keyed `payment:<paymentId>`: the doctor pairs them by it.
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
   * At most this many ACTIVE holds of the user whose keys share this key's scope (the part before the first `:`);
   * RATE_LIMITED beyond. Counted under the user's row lock, so it holds over all instances.
   */
  readonly scopeLimit?: number;
}

/** What usage_logs says of one call of a feature. */
export interface UsageFacts {
  /** The AI model that did the work. */
  readonly model: string | null;
  readonly durationMs: number;
  readonly success: boolean;
  /** A short reason when it failed; never a stack or a secret. */
  readonly error: string | null;
  /** As the provider counted them; left out where nobody did. */
  readonly inputTokens?: number | null;
  readonly outputTokens?: number | null;
}

/** Ends a hold by taking 0..held credits (all of it when `amountCredits` is left out). HOLD_NOT_ACTIVE when it ended before. */
export interface SettleOperation {
  readonly kind: "settle";
  readonly userId: string;
  readonly holdId: string;
  readonly amountCredits?: number;
  /** For the usage row; measured from the hold's own life when left out. */
  readonly usage?: UsageFacts;
}

/** Ends a hold without taking anything. A usage row is written only when `usage` is given (a call that failed). */
export interface ReleaseOperation {
  readonly kind: "release";
  readonly userId: string;
  readonly holdId: string;
  readonly usage?: UsageFacts;
}

/** Gives credits as a lot of their own. Once per `grantKey`: a repeat answers `replayed: true`. Debt is paid first. */
export interface GrantOperation {
  readonly kind: "grant";
  readonly userId: string;
  readonly amountCredits: number;
  /** REFUND gives back what a refund took that failed afterwards. */
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
 * Takes credits back, into debt if need be: from the lot of `grantKey` first, then the other lots, then debt.
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

/** An administrator's correction, either way; into debt if need be. NOT_FOUND for a deleted account. */
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
 * One side of moving an erased account's debt to its person's new account: positive on the erased side, negative on
 * the new one. Both sides belong in one transaction.
 */
export interface CarryDebtOperation {
  readonly kind: "carryDebt";
  readonly userId: string;
  readonly amountCredits: number;
  /** The account on the other side. */
  readonly sourceId: string;
  readonly idempotencyKey: IdempotencyKey;
}

/** Takes what is left of the user's lots that have expired and are not under a hold. */
interface ExpireLotsOperation {
  readonly kind: "expireLots";
  readonly userId: string;
}

/** Releases the user's holds whose time is over. */
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

/** The user's position right after the operation. `seq` = number of entries. */
interface Position {
  readonly credits: number;
  readonly held: number;
  readonly available: number;
  readonly seq: number;
}

/** What every operation answers. */
export interface OperationResult extends Position {
  /** Id of the entry written; null when none was (release, settle at 0, nothing to expire). */
  readonly transactionId: string | null;
  /** The key was seen before with the same input: this is the first answer again. */
  readonly replayed: boolean;
  /** Credits that moved (spend, settle, take-backs: positive). */
  readonly amountCredits: number;
  /** The price table the charge was made under, kept with it; null where no price was involved. */
  readonly priceVersion: string | null;
}

/** What a reserve answers beside that. */
export interface HoldResult extends OperationResult {
  readonly holdId: string;
  readonly expiresAt: Date;
}

/** The answer to each kind of operation. */
export type ResultOf<Operation extends LedgerOperation> = Operation extends ReserveOperation
  ? HoldResult
  : OperationResult;

/** The sole writer of credits. */
export interface Ledger {
  /**
   * Queues one operation for the next batch and answers when it is durable.
   * Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, HOLD_NOT_ACTIVE, NOT_FOUND (no such user or hold),
   * VALIDATION_FAILED (amounts), SERVICE_UNAVAILABLE (queue full, database away, outcome unknown, stopping).
   */
  submit<Operation extends LedgerOperation>(operation: Operation): Promise<ResultOf<Operation>>;
  /**
   * Applies operations inside the caller's transaction, under the same rules and row locks, so that they commit
   * with the caller's other rows. Call `changed` with the user ids once that transaction has committed.
   */
  applyIn<Operation extends LedgerOperation>(
    tx: DatabaseTransaction,
    operations: readonly Operation[],
  ): Promise<ResultOf<Operation>[]>;
  /** Drops cached balances and tells every instance's `onChange` subscribers. Never throws. */
  changed(userIds: readonly string[]): Promise<void>;
  /** Operations waiting or under way. */
  readonly pending: number;
  /** Stops taking operations, finishes what is queued. */
  close(): Promise<void>;
}
