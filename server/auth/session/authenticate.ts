// Determines who a bearer is: verifies the token first, then the current status of the session.
import { AppError } from "../../lib/errors.ts";
import type { Principal } from "../auth.types.ts";
import type { AccessTokens } from "./access-token.ts";
import type { SessionCache } from "./session-cache.ts";

/** Returns who the bearer is. Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, SERVICE_UNAVAILABLE. */
export async function authenticate(
  deps: { readonly accessTokens: AccessTokens; readonly sessionCache: SessionCache },
  bearer: string | null,
): Promise<Principal> {
  const { accessTokens, sessionCache } = deps;
  if (bearer === null) throw AppError.of("UNAUTHENTICATED", "Please sign in.");
  const claims = await accessTokens.verify(bearer);
  const session = await sessionCache.get(claims);
  if (session === null || session.ended) {
    accessTokens.forget(bearer);
    // Another tab of this browser signed in again. The browser's cookie is valid, so a refresh continues from there.
    if (session?.replaced) {
      throw AppError.of(
        "TOKEN_EXPIRED",
        "This browser has signed in again. Refresh the access token.",
      );
    }
    throw AppError.of("SESSION_REVOKED", "This session has ended. Please sign in again.");
  }
  // The session is still live, but the account has changed: refreshing returns an up-to-date token.
  if (session.authVersion !== claims.authVersion) {
    accessTokens.forget(bearer);
    throw AppError.of("TOKEN_EXPIRED", "Your account has changed. Refresh the access token.");
  }
  const { userId, sessionId, role } = session;
  return { userId, sessionId, role };
}
