// Checks at startup whether sign-in can work with the identity provider.
import type { Config } from "../../config/config.ts";
import type { Logger } from "../../lib/logger.ts";
import type { IdentityProvider } from "../ports.ts";
import { reasonOf } from "./outcome.ts";
import { SignInFailure } from "./sign-in-error.ts";

/** Logs why sign-in cannot work, or not yet. Never throws. */
export async function checkIdentityProvider(deps: {
  readonly config: { readonly google: Pick<Config["google"], "issuer"> };
  readonly identityProvider: Pick<IdentityProvider, "check">;
  readonly logger: Logger;
}): Promise<void> {
  const { identityProvider, logger } = deps;
  const { issuer } = deps.config.google;
  try {
    await identityProvider.check();
  } catch (error) {
    const isUnavailable = error instanceof SignInFailure && error.code === "provider_unavailable";
    const event = isUnavailable ? "identity provider unavailable" : "identity provider unsupported";
    const line = { event, why: reasonOf(error), issuer, err: error };
    if (isUnavailable) logger.warn(line, "identity provider unavailable");
    else logger.error(line, "sign-in cannot work with this GOOGLE_ISSUER");
  }
}
