// Signing in, staying signed in and signing out.
import type { Cache } from "../kv/ports.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import { publicBaseOf } from "../lib/public-base.ts";
import type {
  AuthorityWatch,
  Principal,
  RefreshRequest,
  RefreshResult,
  SessionLine,
  SignInCookie,
  SignInRedirect,
} from "./auth.types.ts";
import type { IdentityProvider, SessionStore, WriteSignIn } from "./ports.ts";
import { createAccessTokens } from "./session/access-token.ts";
import { authenticate } from "./session/authenticate.ts";
import { createAuthorityWatch } from "./session/authority-watch.ts";
import { createRefreshTokens } from "./session/refresh-token.ts";
import { createLogout, presentedSession, requireOwnOrigin } from "./session/presented-token.ts";
import { rotateRefreshToken } from "./session/rotate-refresh-token.ts";
import { createSessionCache } from "./session/session-cache.ts";
import { listSessions, revokeAll, revokeOne } from "./session/sessions.ts";
import { checkIdentityProvider } from "./sign-in/check-provider.ts";
import { type CallbackRequest, finishSignIn } from "./sign-in/finish-sign-in.ts";
import { createSignInStates } from "./sign-in/sign-in-state.ts";
import { startSignIn } from "./sign-in/start-sign-in.ts";

/** Sign-in, sessions, and authentication of bearers. */
export interface AuthService {
  /** Returns who the bearer is now. Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, SERVICE_UNAVAILABLE. */
  authenticate(bearer: string | null): Promise<Principal>;
  /** Watches a bearer while a stream is open. Its signal aborts with the refusal once `authenticate` would throw. */
  watchAuthority(bearer: string | null): AuthorityWatch;
  /** Returns the ways to sign in; `url` is absolute. */
  config(): { providers: { id: "google"; url: string }[]; sandbox: boolean };
  /**
   * Rotates the refresh token and signs an access token. Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED,
   * REFRESH_REUSED; FORBIDDEN for a cookie from a foreign origin.
   */
  refresh(request: RefreshRequest): Promise<RefreshResult>;
  /** Returns the session of the presented refresh token, without a lookup; null if this server did not issue it. */
  refreshSession(request: Pick<RefreshRequest, "refreshCookies" | "bodyToken">): string | null;
  /** Ends the session of the presented token, if there is one. Throws FORBIDDEN as `refresh` does. */
  logout(request: RefreshRequest): Promise<void>;
  /** Ends every session of the caller, including this one; `revoked` counts them. */
  logoutAll(principal: Principal): Promise<{ revoked: number }>;
  /** Returns the caller's live sessions, most recently used first. */
  sessions(principal: Principal): Promise<{ sessions: SessionLine[] }>;
  /** Ends one of the caller's own sessions. Safe to repeat. Throws NOT_FOUND for any other session. */
  revokeSession(principal: Principal, input: { sessionId: string }): Promise<void>;
  /** For requests that change state: throws FORBIDDEN if one carries the refresh cookie from a foreign origin. */
  requireOwnOrigin(request: { origin: string | null; refreshCookies: readonly string[] }): void;
  /** Checks the identity provider at startup, and logs why sign-in cannot work, or not yet. Never throws. */
  checkIdentityProvider(): Promise<void>;
  /** Starts one sign-in. Never throws, whatever the browser or the provider does wrong. */
  startSignIn(request: {
    returnTo: unknown;
    stateCookies: readonly SignInCookie[];
    ip: string;
  }): Promise<SignInRedirect>;
  /** Finishes one sign-in with a session, or with a redirect that carries a code of SIGN_IN_ERRORS. Never throws. */
  finishSignIn(request: CallbackRequest): Promise<SignInRedirect>;
  /** Makes every instance reread sessions, roles and accounts. Call after the commit. Never throws. */
  invalidateSessions(): Promise<void>;
  /** Waits for writes that are still in flight after their response. */
  close(): Promise<void>;
}

/** Dependencies of the service. */
interface AuthServiceDeps {
  readonly config: Pick<
    Config,
    "tokens" | "google" | "frontendOrigins" | "adminEmails" | "credits" | "cookies" | "sandbox"
  >;
  readonly sessions: SessionStore;
  readonly writeSignIn: WriteSignIn;
  /**
   * Shows every instance that sessions have changed: the back end's cache if Redis is configured.
   * Null = ask the database on every request.
   */
  readonly sharedCache: Cache | null;
  /** Remembers which sign-ins are used up. Only for this process if no cache is shared. */
  readonly usedStates: Pick<Cache, "setIfAbsent">;
  readonly identityProvider: IdentityProvider;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Returns the service; nothing is opened until it is used. */
export function createAuthService(options: AuthServiceDeps): AuthService {
  const deps = withState(options);
  return {
    authenticate: (bearer) => authenticate(deps, bearer),
    watchAuthority: createAuthorityWatch({ authenticate: (bearer) => authenticate(deps, bearer) }),
    config: () => listProviders(deps.config),
    refresh: (request) => rotateRefreshToken(deps, request),
    refreshSession: (request) => presentedSession(deps, request),
    logout: createLogout(deps),
    logoutAll: (principal) => revokeAll(deps, principal),
    sessions: (principal) => listSessions(deps, principal),
    revokeSession: (principal, { sessionId }) => revokeOne(deps, principal, sessionId),
    requireOwnOrigin: (request) => requireOwnOrigin(deps.config.frontendOrigins, request),
    checkIdentityProvider: () => checkIdentityProvider(deps),
    startSignIn: (request) => startSignIn(deps, request),
    finishSignIn: (request) => finishSignIn(deps, request),
    invalidateSessions: () => deps.sessionCache.invalidate(),
    close: async () => void (await Promise.all(deps.pendingGraceEnds)),
  };
}

/** Adds what the service itself keeps: token keys, caches, and writes that outlive their response. */
function withState(deps: AuthServiceDeps) {
  const { config, sessions, sharedCache, now } = deps;
  const { accessSecrets, accessTtlSeconds, refreshSecrets } = config.tokens;
  return {
    ...deps,
    accessTokens: createAccessTokens({ secrets: accessSecrets, ttlSeconds: accessTtlSeconds, now }),
    refreshTokens: createRefreshTokens(refreshSecrets),
    sessionCache: createSessionCache({ store: sessions, sharedCache }),
    signInStates: createSignInStates({
      secrets: accessSecrets,
      secure: config.cookies.secure,
      now,
    }),
    pendingGraceEnds: new Set<Promise<void>>(),
  };
}

function listProviders({ google, sandbox }: Pick<Config, "google" | "sandbox">) {
  const url = `${publicBaseOf(google.callbackUrl)}/api/auth/google`;
  return { providers: [{ id: "google" as const, url }], sandbox };
}
