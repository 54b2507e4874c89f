// What the writer's callers are told when their operation cannot be decided now, and why a transaction failed.
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

/** `allSent`: every statement was answered, so that a connection lost since was lost at COMMIT. */
export function toTransactionFailed(error: unknown, allSent: boolean): TransactionFailed {
  const kind = classifyDatabaseError(error);
  return new TransactionFailed(kind === "away" && allSent ? "unknownOutcome" : kind, error);
}

/** Whether the database refused the batch's content: one operation's fault, not the database's state. */
export function isPoisoned(kind: DatabaseErrorClass): boolean {
  return kind === "other" || kind === "unique";
}

/** SERVICE_UNAVAILABLE: nothing is lost by trying again with the same key. */
export function unavailable(message: string, cause?: unknown): AppError {
  return AppError.of(
    "SERVICE_UNAVAILABLE",
    `${message} Please try again in a moment, with the same key.`,
    { retryAfterSeconds: 1 },
    cause,
  );
}

/** INTERNAL: a defect. The cause goes to the log, never to the caller. */
export function internal(cause: unknown): AppError {
  return AppError.of("INTERNAL", "Credit operation failed", undefined, cause);
}

/** What the callers of a failed transaction get. */
export function toCallerError(kind: DatabaseErrorClass, cause: unknown): AppError {
  return isPoisoned(kind)
    ? internal(cause)
    : unavailable("The database cannot answer right now.", cause);
}
