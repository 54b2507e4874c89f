// Owns who a bearer is: the token's signature, then the session's standing at this moment.
import { AppError } from "../../lib/errors.ts";
import { createAccessTokens } from "./access-token.ts";
import type { AuthServiceDeps, Principal } from "../auth.service.ts";
import { createAuthorities } from "./session-cache.ts";

/** Access tokens and the authority behind them. */
export type Access = ReturnType<typeof createAccess>;

/** Makes the access side of the auth service. */
export function createAccess(
  deps: Pick<AuthServiceDeps, "config" | "sessions" | "sharedCache"> & { now: () => number },
) {
  const { accessSecrets, accessTtlSeconds } = deps.config.tokens;
  const tokens = createAccessTokens({
    secrets: accessSecrets,
    ttlSeconds: accessTtlSeconds,
    now: deps.now,
  });
  const authorities = createAuthorities({
    store: deps.sessions,
    sharedCache: deps.sharedCache,
    now: deps.now,
  });
  return {
    sign: tokens.sign,
    changed: authorities.changed,
    /** AuthService.authenticate. */
    async authenticate(bearer: string | null): Promise<Principal> {
      if (bearer === null) throw AppError.of("UNAUTHENTICATED", "Please sign in.");
      const claims = await tokens.verify(bearer);
      const authority = await authorities.of(claims);
      if (authority === null || authority.ended) {
        tokens.forget(bearer);
        // Another tab of this browser signed in anew: its cookie is good, so a refresh goes on where this ended.
        if (authority?.replaced) {
          throw AppError.of("TOKEN_EXPIRED", "This browser has signed in anew. Refresh.");
        }
        throw AppError.of("SESSION_REVOKED", "This session has ended. Please sign in again.");
      }
      // The session lives on with another role: refreshing brings a token that fits.
      if (authority.authVersion !== claims.authVersion) {
        tokens.forget(bearer);
        throw AppError.of("TOKEN_EXPIRED", "Your account has changed. Refresh the access token.");
      }
      const { userId, sessionId, role } = authority;
      return { userId, sessionId, role };
    },
  };
}
