// What authentication needs from outside: an identity provider, and stores for sessions and sign-ins.
import type {
  LiveSession,
  RevocationReason,
  Rotation,
  SessionRecord,
  SessionStatus,
  SignedIn,
  SignIn,
  VerifiedIdentity,
} from "./auth.types.ts";

/** The identity provider, as sign-in uses it. Every call ends within 10 s. Throws SignInFailure. */
export interface IdentityProvider {
  /** Checks whether sign-in can work, as far as the provider's metadata shows. Throws SignInFailure with the reason. */
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

/** Rows of sessions, and of users where sessions depend on them. */
export interface SessionStore {
  /** Returns the status of each of these sessions that exists. */
  statuses(sessionIds: readonly string[]): Promise<Map<string, SessionStatus>>;
  find(sessionId: string): Promise<SessionRecord | null>;
  /** Returns false if the session was no longer in the state from which the rotation starts. */
  rotate(rotation: Rotation): Promise<boolean>;
  /** The database's time: one instance ends a grace period, another one judges it, and their own clocks differ. */
  clock(): Promise<Date>;
  /** Ends the grace period of the rotation to `generation` in `graceSeconds`, by the database's clock. */
  endGrace(sessionId: string, generation: number, graceSeconds: number): Promise<void>;
  /** Ends one session, if `userId` is given only that user's; false if none was live. `reuse` leaves an audit line. */
  revoke(sessionId: string, reason: RevocationReason, at: Date, userId?: string): Promise<boolean>;
  /** Whether the session exists and belongs to the user. */
  owns(userId: string, sessionId: string): Promise<boolean>;
  /** Ends every session of the user and every access token signed before. Returns how many unexpired sessions ended. */
  revokeAll(userId: string, at: Date): Promise<number>;
  live(userId: string, now: Date): Promise<LiveSession[]>;
}

/**
 * Writes a sign-in: the user, the identity and the session. Throws SignInFailure: account_disabled, account_conflict,
 * state_invalid (the session already exists).
 */
export type WriteSignIn = (request: SignIn) => Promise<SignedIn>;
