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

/** Rows of sessions, and of users as far as sessions depend on them. */
export interface SessionStore {
  /** The status of each of these sessions that exists. */
  statuses(sessionIds: readonly string[]): Promise<Map<string, SessionStatus>>;
  find(sessionId: string): Promise<SessionRecord | null>;
  /** False when the session was no longer in the state the rotation starts from. */
  rotate(rotation: Rotation): Promise<boolean>;
  /** The database's clock: the grace that one instance ended is judged by another, and their own clocks differ. */
  clock(): Promise<Date>;
  /** Lets the grace of the rotation that led to `generation` end after `graceSeconds`, by the database's clock. */
  endGrace(sessionId: string, generation: number, graceSeconds: number): Promise<void>;
  /** Ends one session (of `userId` alone, when given); false when it was not live. `reuse` leaves an audit line. */
  revoke(sessionId: string, reason: RevocationReason, at: Date, userId?: string): Promise<boolean>;
  /** Whether the session exists and is the user's. */
  owns(userId: string, sessionId: string): Promise<boolean>;
  /** Ends every session of the user and every access token signed before. */
  revokeAll(userId: string, at: Date): Promise<number>;
  live(userId: string, now: Date): Promise<LiveSession[]>;
}

/**
 * Writes a sign-in: the person, the identity and the session. Throws SignInFailure: account_disabled, account_conflict,
 * state_invalid (the session exists already).
 */
export type WriteSignIn = (request: SignIn) => Promise<SignedIn>;
