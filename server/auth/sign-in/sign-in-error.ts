// Why a sign-in ended without a session, in a word of SIGN_IN_ERRORS.
import type { SignInError } from "../../../shared/src/errors.ts";

/** Thrown inside a sign-in; the browser sees `code` alone, the log sees the cause. */
export class SignInFailure extends Error {
  readonly code: SignInError;

  constructor(code: SignInError, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SignInFailure";
    this.code = code;
  }
}
