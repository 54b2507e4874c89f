// Where a browser goes when its sign-in is over: a frontend page, with an error code or a path and nothing else.
import type { Config } from "../../config/config.ts";
import type { SignInError } from "../../../shared/src/errors.ts";
import { isAppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import type { SignInRedirect } from "../auth.types.ts";
import { SignInFailure } from "./sign-in-error.ts";

/** Returns the frontend page that ends every sign-in. Its URL never contains a token or a third party's text. */
export function landingPage(
  { frontendOrigins }: Pick<Config, "frontendOrigins">,
  parameter: { error: SignInError } | { returnTo: string | null },
): string {
  const url = new URL("/auth/callback", frontendOrigins[0]);
  for (const [name, value] of Object.entries(parameter)) {
    if (value !== null) url.searchParams.set(name, value);
  }
  return url.href;
}

/** Logs a refused sign-in and returns the redirect that reports it to the browser. */
export function refuseSignIn(
  { config, logger }: { config: Pick<Config, "frontendOrigins">; logger: Logger },
  error: unknown,
  { clearStateCookies, ip }: { clearStateCookies: readonly string[]; ip: string },
): SignInRedirect {
  const code = codeOf(error);
  const line = { event: "sign-in refused", signInError: code, why: reasonOf(error), ip };
  if (code === "server_error") logger.error({ ...line, err: error }, "sign-in failed");
  else logger.warn({ ...line, err: error }, "sign-in refused");
  return {
    location: landingPage(config, { error: code }),
    setStateCookie: null,
    clearStateCookies,
    refresh: null,
    error: code,
  };
}

/** Returns the reason of a SignInFailure for the log; null for any other error. */
export function reasonOf(error: unknown): string | null {
  return error instanceof SignInFailure ? error.message : null;
}

function codeOf(error: unknown): SignInError {
  if (error instanceof SignInFailure) return error.code;
  if (isAppError(error, "RATE_LIMITED")) return "rate_limited";
  return "server_error";
}
