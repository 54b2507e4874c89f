// Owns what signing in, staying signed in and signing out mean: the service's face and the ports it needs.
import type { Role } from "../../shared/src/auth.ts";
import type { SignInError } from "../../shared/src/errors.ts";
import type { Cache } from "../kv/ports.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import { createAccess } from "./session/authenticate.ts";
import { type AuthorityWatch, createAuthorityWatch } from "./session/authority-watch.ts";
import type { AttemptCookie } from "./sign-in/sign-in-state.ts";
import type { SessionStore, SignInStore } from "./ports.ts";
import { createRefresh } from "./session/refresh.ts";
import { createSessions, type SessionLine } from "./session/sessions.ts";
import { createSignIn } from "./sign-in/sign-in.ts";

/** Who a request speaks for, known to be signed in, enabled and of this role at this moment. */
export interface Principal {
  readonly userId: string;
  readonly sessionId: string;
  readonly role: Role;
}

/** A person as they see themselves (`user` of shared/src/auth.ts). */
export interface UserView {
  id: string;
  email: string;
  name: string | null;
  avatar: string | null;
  role: Role;
  credits: number;
  /** ISO 8601, UTC. */
  createdAt: string;
}

/** The facts of a request that carries (or may carry) a refresh token. */
export interface RefreshRequest {
  /** Every value sent under the refresh cookie's name. */
  readonly cookieTokens: readonly string[];
  /** The token a client without cookies sent in the body. */
  readonly bodyToken?: string | undefined;
  /** The Origin header as sent. */
  readonly origin: string | null;
  readonly userAgent: string | null;
  readonly ip: string;
}

/** A renewed sign-in. The refresh token goes back the way the old one came. */
export interface RefreshAnswer {
  readonly accessToken: string;
  /** ISO 8601, UTC: end of the access token. */
  readonly expiresAt: string;
  readonly refreshToken: string;
  /** `cookie`: set it again for `maxAgeSeconds`; `body`: answer it as `refreshToken`. */
  readonly transport: "cookie" | "body";
  readonly maxAgeSeconds: number;
}

/** Where a browser goes next, and the attempt cookies to set and to clear on the way. */
export interface SignInRedirect {
  readonly location: string;
  readonly setAttempt: AttemptCookie | null;
  readonly clearAttempts: readonly string[];
  /** Present when somebody was signed in. */
  readonly refresh: { readonly token: string; readonly maxAgeSeconds: number } | null;
  /** Present when it failed: what `?error=` says. */
  readonly error: SignInError | null;
}

/** The callback's query, each undefined unless sent exactly once as a string. */
export interface CallbackQuery {
  readonly state: string | undefined;
  readonly code: string | undefined;
  readonly error: string | undefined;
  readonly issuer: string | undefined;
}

/** What the identity provider vouches for. The e-mail is verified, or there is no identity. */
export interface VerifiedIdentity {
  readonly issuer: string;
  readonly subject: string;
  /** Lower case. */
  readonly email: string;
  readonly name: string | null;
  readonly avatar: string | null;
}

/** The identity provider, as sign-in needs it. Every call ends within 10 s. Throws SignInFailure. */
export interface IdentityProvider {
  /** Whether sign-in can work with this provider, as far as it says itself. Throws SignInFailure with the reason. */
  check(): Promise<void>;
  authorizationUrl(request: {
    state: string;
    nonce: string;
    codeVerifier: string;
    redirectUri: string;
  }): Promise<URL>;
  /** Redeems the code and verifies the ID token against `nonce`. */
  exchange(request: {
    code: string;
    codeVerifier: string;
    nonce: string;
    redirectUri: string;
    /** The callback's own `iss` (RFC 9207), when it sent one. */
    callbackIssuer: string | undefined;
  }): Promise<VerifiedIdentity>;
}

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
  refresh(request: RefreshRequest): Promise<RefreshAnswer>;
  /** The session of the refresh token shown, from the token alone: null when it is none that this server issued. */
  refreshSession(request: Pick<RefreshRequest, "cookieTokens" | "bodyToken">): string | null;
  /** Ends the session of the token; a token that ends nothing is no error. FORBIDDEN as for refresh. */
  logout(request: RefreshRequest): Promise<void>;
  /** Ends every session of the caller, this one too; `revoked` counts them. */
  logoutAll(principal: Principal): Promise<{ revoked: number }>;
  /** Throws NOT_FOUND when the user is gone. */
  me(principal: Principal): Promise<{ user: UserView }>;
  /** The caller's live sessions, last used first. */
  sessions(principal: Principal): Promise<{ sessions: SessionLine[] }>;
  /** Ends one of the caller's own sessions; NOT_FOUND for any other. Safe to repeat. */
  revokeSession(principal: Principal, input: { sessionId: string }): Promise<void>;
  /** Refuses a state-changing request that carries the refresh cookie from an origin that is not ours: FORBIDDEN. */
  requireOwnOrigin(request: { origin: string | null; refreshCookies: readonly string[] }): void;
  /** Asks the identity provider at start, and logs why sign-in cannot work, or cannot work yet. Never throws. */
  checkIdentityProvider(): Promise<void>;
  /** Begins one sign-in attempt. Never throws for what a browser or the provider may do wrong. */
  startSignIn(request: {
    returnTo: unknown;
    attemptCookies: readonly AttemptCookie[];
    ip: string;
  }): Promise<SignInRedirect>;
  /** Ends one sign-in attempt: a session, or a redirect with a code of SIGN_IN_ERRORS. Never throws. */
  finishSignIn(request: {
    query: CallbackQuery;
    attemptCookies: readonly AttemptCookie[];
    /** Every value sent under the refresh cookie's name: that sign-in ends when the new one begins. */
    refreshCookies: readonly string[];
    userAgent: string | null;
    ip: string;
  }): Promise<SignInRedirect>;
  /** Tells every instance that sessions, roles or accounts have changed. Call after the commit. Never throws. */
  authorityChanged(): Promise<void>;
  /** Job: forgets sign-ins whose absolute end is more than a day ago. Answers how many. */
  pruneSessions(): Promise<number>;
  /** Waits for what is still being written after an answer. */
  close(): Promise<void>;
}

/** What the service is made of. */
export interface AuthServiceDeps {
  readonly config: Pick<
    Config,
    "tokens" | "google" | "frontendOrigins" | "adminEmails" | "credits" | "cookies" | "sandbox"
  >;
  readonly sessions: SessionStore;
  readonly signIns: SignInStore;
  /**
   * Where all instances learn that authority has changed: the back end's cache when every instance shares it
   * (Redis, or one embedded process); null = ask the database at every request.
   */
  readonly sharedCache: Cache | null;
  readonly identityProvider: IdentityProvider;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Makes the service; nothing is opened until it is used. */
export function createAuthService(deps: AuthServiceDeps): AuthService {
  const now = deps.now ?? Date.now;
  const access = createAccess({ ...deps, now });
  const refresh = createRefresh({ ...deps, now, access });
  const sessions = createSessions({ ...deps, now, access });
  const signIn = createSignIn({ ...deps, now, changed: access.changed });
  return {
    authenticate: access.authenticate,
    watchAuthority: createAuthorityWatch(access),
    authorityChanged: access.changed,
    config: () => ({
      providers: [
        { id: "google", url: new URL("/api/auth/google", deps.config.google.callbackUrl).href },
      ],
      sandbox: deps.config.sandbox,
    }),
    ...refresh,
    ...sessions,
    ...signIn,
  };
}
