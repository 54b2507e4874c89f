// Why a sign-in ended without a session, as a code of SIGN_IN_ERRORS.
import type { SignInError } from "../../../shared/src/errors.ts";

/** Thrown during a sign-in. The browser sees only `code`; the log has the message and the cause. */
export class SignInFailure extends Error {
  readonly code: SignInError;

  constructor(code: SignInError, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SignInFailure";
    this.code = code;
  }
}
