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

/** Sign-in, sessions and who a bearer is. */
export interface AuthService {
  /** Who the bearer is, right now. Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, SERVICE_UNAVAILABLE. */
  authenticate(bearer: string | null): Promise<Principal>;
  /** Watches a bearer for as long as a stream is open: its signal aborts, with the refusal, once `authenticate` would refuse. */
  watchAuthority(bearer: string | null): AuthorityWatch;
  /** The ways to sign in; `url` is absolute. */
  config(): { providers: { id: "google"; url: string }[]; sandbox: boolean };
  /**
   * Rotates the refresh token and signs an access token.
   * Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, REFRESH_REUSED; FORBIDDEN for a cookie from a foreign origin.
   */
  refresh(request: RefreshRequest): Promise<RefreshResult>;
  /** The session of the refresh token shown, from the token alone: null when this server did not issue it. */
  refreshSession(request: Pick<RefreshRequest, "refreshCookies" | "bodyToken">): string | null;
  /** Ends the session of the token; a token that ends nothing is no error. FORBIDDEN as for refresh. */
  logout(request: RefreshRequest): Promise<void>;
  /** Ends every session of the caller, this one too; `revoked` counts them. */
  logoutAll(principal: Principal): Promise<{ revoked: number }>;
  /** The caller's live sessions, last used first. */
  sessions(principal: Principal): Promise<{ sessions: SessionLine[] }>;
  /** Ends one of the caller's own sessions; NOT_FOUND for any other. Safe to repeat. */
  revokeSession(principal: Principal, input: { sessionId: string }): Promise<void>;
  /** Refuses a state-changing request that carries the refresh cookie from an origin that is not ours: FORBIDDEN. */
  requireOwnOrigin(request: { origin: string | null; refreshCookies: readonly string[] }): void;
  /** Asks the identity provider at start, and logs why sign-in cannot work, or cannot work yet. Never throws. */
  checkIdentityProvider(): Promise<void>;
  /** Begins one sign-in. Never throws for what a browser or the provider may do wrong. */
  startSignIn(request: {
    returnTo: unknown;
    stateCookies: readonly SignInCookie[];
    ip: string;
  }): Promise<SignInRedirect>;
  /** Ends one sign-in: a session, or a redirect with a code of SIGN_IN_ERRORS. Never throws. */
  finishSignIn(request: CallbackRequest): Promise<SignInRedirect>;
  /** Makes every instance read sessions, roles and accounts again. Call after the commit. Never throws. */
  invalidateSessions(): Promise<void>;
  /** Waits for what is still being written after an answer. */
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
   * Where all instances learn that sessions have changed: the back end's cache where Redis is configured;
   * null = ask the database at every request.
   */
  readonly sharedCache: Cache | null;
  /** Where ended sign-ins are remembered; a cache of this process alone where nothing is shared. */
  readonly spentStates: Pick<Cache, "setIfAbsent">;
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

/** The dependencies with what the service keeps itself: token keys, caches, and writes that outlive an answer. */
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
