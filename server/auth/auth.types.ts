// Types for signing in and staying signed in.
import type { z } from "zod";
import type { authContract, Role, user } from "../../shared/src/auth.ts";
import type { SignInError } from "../../shared/src/errors.ts";

/** The user a request acts for, known to be signed in, enabled and of this role at this moment. */
export interface Principal {
  readonly userId: string;
  readonly sessionId: string;
  readonly role: Role;
}

/** A user as seen by that user. */
export type UserView = z.output<typeof user>;

/** Facts about a request that carries, or may carry, a refresh token. */
export interface RefreshRequest {
  /** Every value sent under the refresh cookie's name. */
  readonly refreshCookies: readonly string[];
  /** The token that a client without cookies sent in the body. */
  readonly bodyToken?: string | undefined;
  /** The Origin header; null if there is none, or if the browser marks the request as same-origin. */
  readonly origin: string | null;
  readonly userAgent: string | null;
  readonly ip: string;
  /** Whether the client has disconnected by now, so that no response can reach it. */
  readonly hasDisconnected?: () => boolean;
}

/** A renewed sign-in. The new refresh token is returned the way the old one was sent. */
export interface RefreshResult {
  readonly accessToken: string;
  /** When the access token expires: ISO 8601, UTC. */
  readonly expiresAt: string;
  readonly refreshToken: string;
  /** `cookie`: set the refresh cookie for `maxAgeSeconds`; `body`: return the token as `refreshToken`. */
  readonly transport: "cookie" | "body";
  readonly maxAgeSeconds: number;
}

/** Where a browser goes next, and the state cookies to set and to clear on the way. */
export interface SignInRedirect {
  readonly location: string;
  readonly setStateCookie: SignInCookie | null;
  readonly clearStateCookies: readonly string[];
  /** Set if the sign-in succeeded. */
  readonly refresh: { readonly token: string; readonly maxAgeSeconds: number } | null;
  /** Set if the sign-in failed: the value of `?error=`. */
  readonly error: SignInError | null;
}

/** The callback's query, each undefined unless sent exactly once as a string. */
export interface CallbackQuery {
  readonly state: string | undefined;
  readonly code: string | undefined;
  readonly error: string | undefined;
  readonly issuer: string | undefined;
}

/** What the identity provider vouches for. An identity always has a verified e-mail. */
export interface VerifiedIdentity {
  readonly issuer: string;
  readonly subject: string;
  /** Lower case. */
  readonly email: string;
  readonly name: string | null;
  readonly avatar: string | null;
}

/** One live session of the caller (`auth.sessions`). */
export type SessionLine = z.output<typeof authContract.sessions.output>["sessions"][number];

/** Watches the authority of one bearer while a stream is open. */
export interface AuthorityWatch {
  /** Aborts once the bearer would be refused; the reason is the refusal (SESSION_REVOKED, TOKEN_EXPIRED …). */
  readonly signal: AbortSignal;
  /** Ends the watch without aborting the signal. Safe to repeat. */
  stop(): void;
}

/** A cookie by name and value. */
export interface SignInCookie {
  readonly name: string;
  readonly value: string;
}

/** What decides whether a token of this session is valid at this moment. */
export interface SessionStatus {
  readonly sessionId: string;
  readonly userId: string;
  readonly role: Role;
  readonly authVersion: number;
  /** Revoked, or its user is disabled or deleted. */
  readonly ended: boolean;
  /** Whether it ended because the same browser signed in again. */
  readonly replaced: boolean;
}

/** A session as rotation needs it. */
export interface SessionRecord extends SessionStatus {
  readonly tokenHash: string;
  readonly previousTokenHash: string | null;
  readonly generation: number;
  /** Until when the previous token still gets its successor; null = the end of the grace period was never written. */
  readonly graceEndsAt: Date | null;
  readonly expiresAt: Date;
  readonly absoluteExpiresAt: Date;
}

/** Where a sign-in or refresh came from, shown in the user's list of sessions. */
export interface ClientFacts {
  readonly userAgent: string | null;
  readonly ip: string;
}

/** One rotation, valid only if the session is still exactly in the state named here. */
export interface Rotation {
  readonly sessionId: string;
  readonly fromGeneration: number;
  readonly fromHash: string;
  readonly toHash: string;
  readonly at: Date;
  readonly expiresAt: Date;
  readonly client: ClientFacts;
}

/** A live session, for its user's list. */
export interface LiveSession {
  readonly id: string;
  readonly userAgent: string | null;
  readonly ipAddress: string | null;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date;
}

/** Why a session ended. */
export type RevocationReason = "logout" | "logoutAll" | "revoked" | "replaced" | "reuse";

/** A verified identity and the session it gets. */
export interface SignIn {
  readonly identity: VerifiedIdentity;
  readonly session: {
    readonly id: string;
    readonly tokenHash: string;
    readonly startedAt: Date;
    readonly expiresAt: Date;
    readonly absoluteExpiresAt: Date;
    readonly client: ClientFacts;
  };
  readonly signupCredits: number;
  /** Whether the verified address is one of ADMIN_EMAILS. */
  readonly isAdmin: boolean;
}

/** The result of a sign-in. */
export interface SignedIn {
  readonly userId: string;
  readonly created: boolean;
  /** Whether a new role has ended the user's older access tokens, so that every instance has to be notified. */
  readonly roleChanged: boolean;
}
