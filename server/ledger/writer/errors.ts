// The errors the writer's callers receive when an operation cannot be applied, and why a transaction failed.
import { classifyDatabaseError, type DatabaseErrorClass } from "../../database/errors.ts";
import { AppError } from "../../lib/errors.ts";

/** Why a transaction did not commit. */
export class TransactionFailed extends Error {
  readonly kind: DatabaseErrorClass;
  constructor(kind: DatabaseErrorClass, cause: unknown) {
    super(`Transaction failed: ${kind}`, { cause });
    this.kind = kind;
  }
}

/** Classifies `error`. With `allSent`, every statement had succeeded, so a lost connection was lost at COMMIT. */
export function toTransactionFailed(error: unknown, allSent: boolean): TransactionFailed {
  const kind = classifyDatabaseError(error);
  return new TransactionFailed(kind === "away" && allSent ? "unknownOutcome" : kind, error);
}

/** Whether the database rejected the batch's content: one operation's fault, not the state of the database. */
export function isPoisoned(kind: DatabaseErrorClass): boolean {
  return kind === "other" || kind === "unique";
}

/** Returns SERVICE_UNAVAILABLE: retrying with the same key is safe. */
export function unavailable(message: string, cause?: unknown): AppError {
  return AppError.of(
    "SERVICE_UNAVAILABLE",
    `${message} Please try again in a moment, with the same key.`,
    { retryAfterSeconds: 1 },
    cause,
  );
}

const refusals = new WeakSet<Error>();

/** Returns SERVICE_UNAVAILABLE for an operation of which no attempt can have reached COMMIT. */
export function refused(message: string): AppError {
  const error = unavailable(message);
  refusals.add(error);
  return error;
}

/** Whether the writer refused the operation without any effect. Other SERVICE_UNAVAILABLE errors may hide one. */
export function isRefused(error: Error): boolean {
  return refusals.has(error);
}

/** Returns INTERNAL, for a bug. The cause goes to the log, never to the caller. */
export function internal(cause: unknown): AppError {
  return AppError.of("INTERNAL", "Credit operation failed", undefined, cause);
}

/** Returns the error for the callers of a failed transaction. */
export function toCallerError(kind: DatabaseErrorClass, cause: unknown): AppError {
  return isPoisoned(kind)
    ? internal(cause)
    : unavailable("The database cannot answer right now.", cause);
}
