// The first half of a sign-in: the redirect to the identity provider (OpenID Connect code flow, RFC 9700).
import type { Config } from "../../config/config.ts";
import type { Logger } from "../../lib/logger.ts";
import type { SignInCookie, SignInRedirect } from "../auth.types.ts";
import type { IdentityProvider } from "../ports.ts";
import { refuseSignIn } from "./outcome.ts";
import { safeReturnTo } from "./return-to.ts";
import type { SignInStates } from "./sign-in-state.ts";

/** Returns the redirect to the provider, or to the frontend with an error code. Never throws. */
export async function startSignIn(
  deps: {
    readonly config: Pick<Config, "frontendOrigins" | "google">;
    readonly signInStates: SignInStates;
    readonly identityProvider: Pick<IdentityProvider, "authorizationUrl">;
    readonly logger: Logger;
  },
  request: { returnTo: unknown; stateCookies: readonly SignInCookie[]; ip: string },
): Promise<SignInRedirect> {
  const { config, signInStates, identityProvider } = deps;
  const clearStateCookies = signInStates.surplus(request.stateCookies);
  try {
    const { state: signIn, cookie } = signInStates.begin(safeReturnTo(request.returnTo));
    const url = await identityProvider.authorizationUrl({
      state: signIn.state,
      nonce: signIn.nonce,
      codeVerifier: signIn.codeVerifier,
      redirectUri: config.google.callbackUrl,
    });
    return {
      location: url.href,
      setStateCookie: cookie,
      clearStateCookies,
      refresh: null,
      error: null,
    };
  } catch (error) {
    return refuseSignIn(deps, error, { clearStateCookies, ip: request.ip });
  }
}
