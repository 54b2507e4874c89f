// Reads the refresh token a request presents, checks that its origin may present it, and logs out with it.
import { LRUCache } from "lru-cache";
import { AppError } from "../../lib/errors.ts";
import type { RefreshRequest } from "../auth.types.ts";
import type { SessionStore } from "../ports.ts";
import type { RefreshToken, RefreshTokens } from "./refresh-token.ts";
import type { SessionCache } from "./session-cache.ts";

const MAX_REMEMBERED_ENDS = 10_000;

/** Dependencies of reading the presented token. */
interface PresentedTokenDeps {
  readonly config: { readonly frontendOrigins: readonly string[] };
  readonly refreshTokens: Pick<RefreshTokens, "parse">;
}

/** Throws FORBIDDEN for a request that carries the refresh cookie from an origin that is not ours. */
export function requireOwnOrigin(
  ownOrigins: readonly string[],
  request: { origin: string | null; refreshCookies: readonly string[] },
): void {
  if (request.refreshCookies.length === 0) return;
  // A browser sends Origin with every POST (Fetch standard, "append a request Origin header"); it is the string `null`
  // for an opaque origin. Without an origin, the request is from this host's own page (http/context.ts) or not from a
  // browser, so no user was lured into sending it.
  if (request.origin !== null && !ownOrigins.includes(request.origin)) {
    throw AppError.of("FORBIDDEN", "This request must come from our own pages.");
  }
}

/** Returns the session of the presented token, from the token alone; null when this server did not issue it. */
export function presentedSession(
  deps: Pick<PresentedTokenDeps, "refreshTokens">,
  request: Pick<RefreshRequest, "bodyToken" | "refreshCookies">,
): string | null {
  return readToken(deps.refreshTokens, request).token?.sessionId ?? null;
}

/** Returns the request's token, null unless it is one of ours. Throws FORBIDDEN as requireOwnOrigin does. */
export function presentedToken(
  { config, refreshTokens }: PresentedTokenDeps,
  request: RefreshRequest,
): { token: RefreshToken | null; inBody: boolean } {
  requireOwnOrigin(config.frontendOrigins, request);
  return readToken(refreshTokens, request);
}

/**
 * Returns the function that ends the session of the presented token, if there is one. It throws FORBIDDEN for a foreign
 * origin. A logout with a token of ours is not rate limited, so that nothing can keep a user from signing out.
 * Repeating it must therefore not cost the database anything.
 */
export function createLogout(
  deps: PresentedTokenDeps & {
    readonly sessions: Pick<SessionStore, "revoke">;
    readonly sessionCache: Pick<SessionCache, "invalidate">;
    readonly now: () => number;
  },
): (request: RefreshRequest) => Promise<void> {
  // In flight or done. Done logouts may be remembered, because an ended session never becomes live again.
  const ends = new LRUCache<string, Promise<void>>({ max: MAX_REMEMBERED_ENDS });

  async function end(sessionId: string): Promise<void> {
    const ended = await deps.sessions.revoke(sessionId, "logout", new Date(deps.now()));
    if (ended) await deps.sessionCache.invalidate();
  }

  return async (request) => {
    const { token } = presentedToken(deps, request);
    if (token === null) return;
    const { sessionId } = token;
    const known = ends.get(sessionId);
    if (known !== undefined) return known;
    const ending = end(sessionId);
    ends.set(sessionId, ending);
    try {
      await ending;
    } catch (error) {
      ends.delete(sessionId);
      throw error;
    }
  };
}

/** Reads a token from the body if there is one, otherwise from the cookies, which must agree. */
function readToken(
  refreshTokens: Pick<RefreshTokens, "parse">,
  request: Pick<RefreshRequest, "bodyToken" | "refreshCookies">,
): { token: RefreshToken | null; inBody: boolean } {
  if (request.bodyToken !== undefined) {
    return { token: refreshTokens.parse(request.bodyToken), inBody: true };
  }
  // Two different cookies of the same name mean that an attacker planted one. Picking the one that works could sign the
  // user into the attacker's account (login CSRF), so neither counts. `__Host-` makes this impossible on https.
  const [first, ...others] = new Set(request.refreshCookies);
  if (first === undefined || others.length > 0) return { token: null, inBody: false };
  return { token: refreshTokens.parse(first), inBody: false };
}
