// Owns the rows of `sessions`: sign-ins, their rotations and their ends. Raw refresh tokens never come here.
import type { Role } from "../../shared/src/auth.ts";
import type { Database } from "../backend/database.ts";
import type { UserView } from "./auth.service.ts";

/** What decides whether a token of this session is good at this moment. */
export interface Authority {
  readonly sessionId: string;
  readonly userId: string;
  readonly role: Role;
  readonly authVersion: number;
  /** Revoked, or its user is disabled or deleted. */
  readonly ended: boolean;
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
export type RevocationReason = "logout" | "logoutAll" | "revoked" | "reuse";

/** Rows of sessions, and of users as far as sessions depend on them. */
export interface SessionStore {
  /** The authority of many sessions in one go; absent = no such session of that user. */
  authorities(
    wanted: readonly { sessionId: string; userId: string }[],
  ): Promise<Map<string, Authority>>;
  find(sessionId: string): Promise<SessionRecord | null>;
  /** False when the session was no longer in the state the rotation starts from. */
  rotate(rotation: Rotation): Promise<boolean>;
  /** Ends the grace of the rotation that led to `generation`. */
  seal(sessionId: string, generation: number, graceEndsAt: Date): Promise<void>;
  /** Ends one session (of `userId` alone, when given); false when it was not live. */
  revoke(sessionId: string, reason: RevocationReason, at: Date, userId?: string): Promise<boolean>;
  /** Whether the session exists and is the user's. */
  owns(userId: string, sessionId: string): Promise<boolean>;
  /** Ends every session of the user and every access token signed before. */
  revokeAll(userId: string, at: Date): Promise<number>;
  live(userId: string, now: Date): Promise<LiveSession[]>;
  /** Null when deleted or unknown. */
  findUser(userId: string): Promise<UserView | null>;
}

const MAX_LISTED = 200;

const userSelect = {
  id: true,
  email: true,
  name: true,
  avatar: true,
  role: true,
  credits: true,
  createdAt: true,
  deletedAt: true,
} as const;

/** A users row as its owner sees it. */
export function toUserView(row: {
  id: string;
  email: string;
  name: string | null;
  avatar: string | null;
  role: string;
  credits: number;
  createdAt: Date;
}): UserView {
  const { id, email, name, avatar, credits } = row;
  return {
    id,
    email,
    name,
    avatar,
    role: toRole(row.role),
    credits,
    createdAt: row.createdAt.toISOString(),
  };
}

/** A stored role; anything unknown has no power. */
export function toRole(stored: string): Role {
  return stored === "ADMIN" ? "ADMIN" : "USER";
}

/** The store over either database. */
export function createSessionStore(database: Database): SessionStore {
  const { models } = database;
  // Even one statement may meet a conflict: `transaction` runs it again and gives its errors their names.
  const write = <T>(work: (own: typeof models) => Promise<T>) =>
    database.transaction((tx) => work(tx.models));
  const authority = { id: true, role: true, authVersion: true, disabledAt: true, deletedAt: true };
  const endedUser = (user: { disabledAt: Date | null; deletedAt: Date | null }) =>
    user.disabledAt !== null || user.deletedAt !== null;
  return {
    async authorities(wanted) {
      const [sessions, users] = await Promise.all([
        models.session.findMany({
          where: { id: { in: wanted.map((one) => one.sessionId) } },
          select: { id: true, userId: true, revokedAt: true },
        }),
        models.user.findMany({
          where: { id: { in: [...new Set(wanted.map((one) => one.userId))] } },
          select: authority,
        }),
      ]);
      const usersById = new Map(users.map((user) => [user.id, user]));
      const found = new Map<string, Authority>();
      for (const session of sessions) {
        const user = usersById.get(session.userId);
        if (user === undefined) continue;
        found.set(session.id, {
          sessionId: session.id,
          userId: user.id,
          role: toRole(user.role),
          authVersion: user.authVersion,
          ended: session.revokedAt !== null || endedUser(user),
        });
      }
      return found;
    },
    async find(sessionId) {
      const session = await models.session.findUnique({
        where: { id: sessionId },
        omit: { refreshTokenHash: false, previousTokenHash: false },
      });
      if (session === null) return null;
      const user = await models.user.findUnique({
        where: { id: session.userId },
        select: authority,
      });
      if (user === null) return null;
      return {
        sessionId: session.id,
        userId: user.id,
        role: toRole(user.role),
        authVersion: user.authVersion,
        ended: session.revokedAt !== null || endedUser(user),
        tokenHash: session.refreshTokenHash,
        previousTokenHash: session.previousTokenHash,
        generation: session.generation,
        graceEndsAt: session.graceEndsAt,
        expiresAt: session.expiresAt,
        absoluteExpiresAt: session.absoluteExpiresAt,
      };
    },
    async rotate({ sessionId, fromGeneration, fromHash, toHash, at, expiresAt, client }) {
      // One conditional UPDATE: of any number of parallel refreshes exactly one finds this row as it was.
      const { count } = await write(({ session }) =>
        session.updateMany({
          where: {
            id: sessionId,
            generation: fromGeneration,
            refreshTokenHash: fromHash,
            revokedAt: null,
          },
          data: {
            refreshTokenHash: toHash,
            previousTokenHash: fromHash,
            generation: fromGeneration + 1,
            graceEndsAt: null,
            rotatedAt: at,
            lastUsedAt: at,
            expiresAt,
            userAgent: client.userAgent,
            ipAddress: client.ip,
          },
        }),
      );
      return count === 1;
    },
    async seal(sessionId, generation, graceEndsAt) {
      await write(({ session }) =>
        session.updateMany({
          where: { id: sessionId, generation, graceEndsAt: null },
          data: { graceEndsAt },
        }),
      );
    },
    async revoke(sessionId, reason, at, userId) {
      const { count } = await write(({ session }) =>
        session.updateMany({
          where: { id: sessionId, revokedAt: null, ...(userId === undefined ? {} : { userId }) },
          data: { revokedAt: at, revokedReason: reason },
        }),
      );
      return count === 1;
    },
    async owns(userId, sessionId) {
      return (await models.session.count({ where: { id: sessionId, userId } })) === 1;
    },
    revokeAll: (userId, at) =>
      database.transaction(async (tx) => {
        // The user's row first: every writer that touches both locks in this order.
        await tx.models.user.updateMany({
          where: { id: userId },
          data: { authVersion: { increment: 1 } },
        });
        const { count } = await tx.models.session.updateMany({
          where: { userId, revokedAt: null },
          data: { revokedAt: at, revokedReason: "logoutAll" satisfies RevocationReason },
        });
        return count;
      }),
    live: (userId, now) =>
      models.session.findMany({
        where: { userId, revokedAt: null, expiresAt: { gt: now } },
        orderBy: { lastUsedAt: "desc" },
        take: MAX_LISTED,
        select: {
          id: true,
          userAgent: true,
          ipAddress: true,
          createdAt: true,
          lastUsedAt: true,
          expiresAt: true,
        },
      }),
    async findUser(userId) {
      const row = await models.user.findUnique({ where: { id: userId }, select: userSelect });
      return row === null || row.deletedAt !== null ? null : toUserView(row);
    },
  };
}
