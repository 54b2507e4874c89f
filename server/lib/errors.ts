// AppError: the only way the server refuses a request. Codes and statuses are the closed list in shared/src/errors.ts.
import { type DetailsOf, ERROR_CODES, type ErrorCode } from "../../shared/src/errors.ts";

/** An error meant for the caller: a code from the closed list, a friendly sentence, and the code's details. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  private constructor(
    code: ErrorCode,
    message: string,
    details: Record<string, unknown>,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "AppError";
    this.code = code;
    this.details = details;
  }

  /** HTTP status of this code. */
  get httpStatus(): number {
    return ERROR_CODES[this.code].httpStatus;
  }

  /** Typed constructor: `details` are exactly what the code promises. `cause` goes to the log, never to the caller. */
  static of<Code extends ErrorCode>(
    code: Code,
    message: string,
    ...rest: keyof DetailsOf<Code> extends never
      ? [details?: undefined, cause?: unknown]
      : [details: DetailsOf<Code>, cause?: unknown]
  ): AppError {
    return new AppError(code, message, { ...rest[0] }, rest[1]);
  }
}

/** Returns NOT_FOUND, worded alike for everything; `what` is one word ("user"). */
export function notFound(what: string): AppError {
  return AppError.of("NOT_FOUND", `There is no such ${what}.`);
}

/** Returns VALIDATION_FAILED for one field; `sentence` says what its value should be. */
export function invalidField(
  field: string,
  sentence: string,
  message = `Please check ${field}: ${sentence}`,
): AppError {
  return AppError.of("VALIDATION_FAILED", message, { fields: { [field]: [sentence] } });
}

/** An AppError of one code, with the details that code carries. */
export type AppErrorOf<Code extends ErrorCode> = AppError & {
  readonly code: Code;
  readonly details: DetailsOf<Code>;
};

/** Whether `error` is an AppError, of `code` if one is given. */
export function isAppError<Code extends ErrorCode>(
  error: unknown,
  code: Code,
): error is AppErrorOf<Code>;
export function isAppError(error: unknown): error is AppError;
export function isAppError(error: unknown, code?: ErrorCode): boolean {
  return error instanceof AppError && (code === undefined || error.code === code);
}

/** Throws INTERNAL when `condition`, which must always hold, does not; `belief` states it in words. */
export function assert(condition: unknown, belief: string): asserts condition {
  if (!condition) throw AppError.of("INTERNAL", `Assertion failed: ${belief}`);
}
