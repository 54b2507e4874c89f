// Which refresh token a request presents, whether its origin may, and logging out by it.
import { LRUCache } from "lru-cache";
import { AppError } from "../../lib/errors.ts";
import type { RefreshRequest } from "../auth.types.ts";
import type { SessionStore } from "../ports.ts";
import type { RefreshToken, RefreshTokens } from "./refresh-token.ts";
import type { SessionCache } from "./session-cache.ts";

const MAX_REMEMBERED_ENDS = 10_000;

/** Dependencies of reading the token that a request presents. */
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
  // A browser sends Origin with every POST (Fetch standard, "append a request Origin header"): foreign, or `null` where
  // nobody vouches for the page. Without the header it is no browser, and nobody was lured into sending it.
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

/** Returns the token of the request, null when there is none of ours. Throws FORBIDDEN as requireOwnOrigin does. */
export function presentedToken(
  { config, refreshTokens }: PresentedTokenDeps,
  request: RefreshRequest,
): { token: RefreshToken | null; inBody: boolean } {
  requireOwnOrigin(config.frontendOrigins, request);
  return readToken(refreshTokens, request);
}

/**
 * Makes the function that ends the session of the presented token; a token that ends nothing is no error. It throws FORBIDDEN.
 * No limit counts it, so that nothing keeps anybody from signing out: repeating it must not cost the database anything.
 */
export function createLogout(
  deps: PresentedTokenDeps & {
    readonly sessions: Pick<SessionStore, "revoke">;
    readonly sessionCache: Pick<SessionCache, "invalidate">;
    readonly now: () => number;
  },
): (request: RefreshRequest) => Promise<void> {
  // Under way or done: an ended session never lives again.
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

/** A body token stands for itself; cookies must agree. */
function readToken(
  refreshTokens: Pick<RefreshTokens, "parse">,
  request: Pick<RefreshRequest, "bodyToken" | "refreshCookies">,
): { token: RefreshToken | null; inBody: boolean } {
  if (request.bodyToken !== undefined) {
    return { token: refreshTokens.parse(request.bodyToken), inBody: true };
  }
  // Two different cookies of one name mean that somebody else planted one. Picking the one that works could sign the
  // person into the planter's account (login CSRF), so neither counts. `__Host-` makes this impossible on https.
  const [first, ...others] = new Set(request.refreshCookies);
  if (first === undefined || others.length > 0) return { token: null, inBody: false };
  return { token: refreshTokens.parse(first), inBody: false };
}
