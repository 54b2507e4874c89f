// Owns the rows sign-in and sessions need, as the service asks for them; the stores implement these.
import type { Role } from "../../shared/src/auth.ts";
import type { UserView, VerifiedIdentity } from "./auth.service.ts";

/** What decides whether a token of this session is good at this moment. */
export interface Authority {
  readonly sessionId: string;
  readonly userId: string;
  readonly role: Role;
  readonly authVersion: number;
  /** Revoked, or its user is disabled or deleted. */
  readonly ended: boolean;
  /** It ended because the same browser signed in anew. */
  readonly replaced: boolean;
}

/** A session as rotation needs it. */
export interface SessionRecord extends Authority {
  readonly tokenHash: string;
  readonly previousTokenHash: string | null;
  readonly generation: number;
  /** Until when the previous token still gets its successor; null = the last rotation was never sealed. */
  readonly graceEndsAt: Date | null;
  readonly expiresAt: Date;
  readonly absoluteExpiresAt: Date;
}

/** Where a refresh came from, for the person who looks at their sessions. */
export interface ClientFacts {
  readonly userAgent: string | null;
  readonly ip: string | null;
}

/** One step of rotation, valid only from exactly the state it names. */
export interface Rotation {
  readonly sessionId: string;
  readonly fromGeneration: number;
  readonly fromHash: string;
  readonly toHash: string;
  readonly at: Date;
  readonly expiresAt: Date;
  readonly client: ClientFacts;
}

/** A live session for its owner's list. */
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

/** Rows of sessions, and of users as far as sessions depend on them. */
export interface SessionStore {
  /** The authority of many sessions in one go; absent = no such session of that user. */
  authorities(
    wanted: readonly { sessionId: string; userId: string }[],
  ): Promise<Map<string, Authority>>;
  find(sessionId: string): Promise<SessionRecord | null>;
  /** False when the session was no longer in the state the rotation starts from. */
  rotate(rotation: Rotation): Promise<boolean>;
  /** The database's clock: what was sealed by one instance is judged by another, and their own clocks differ. */
  clock(): Promise<Date>;
  /** Lets the grace of the rotation that led to `generation` end after `graceSeconds`, by the database's clock. */
  seal(sessionId: string, generation: number, graceSeconds: number): Promise<void>;
  /** Ends one session (of `userId` alone, when given); false when it was not live. `reuse` leaves an audit line. */
  revoke(sessionId: string, reason: RevocationReason, at: Date, userId?: string): Promise<boolean>;
  /** Whether the session exists and is the user's. */
  owns(userId: string, sessionId: string): Promise<boolean>;
  /** Ends every session of the user and every access token signed before. */
  revokeAll(userId: string, at: Date): Promise<number>;
  live(userId: string, now: Date): Promise<LiveSession[]>;
  /** Deletes sessions whose absolute end was before `before`; answers how many. */
  prune(before: Date): Promise<number>;
  /** Null when deleted or unknown. */
  findUser(userId: string): Promise<UserView | null>;
}

/** A verified identity and the session it shall get. */
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
  /** The verified address is one of ADMIN_EMAILS. */
  readonly isAdmin: boolean;
}

/** What came of it. */
export interface SignedIn {
  readonly userId: string;
  readonly created: boolean;
  /** Older access tokens of this user have ended (a new role): tell every instance. */
  readonly authorityChanged: boolean;
}

/** Rows of people and identities, as sign-in writes them. */
export interface SignInStore {
  /** Throws SignInFailure: account_disabled, account_conflict, state_invalid (the session exists already). */
  signIn(request: SignIn): Promise<SignedIn>;
}
