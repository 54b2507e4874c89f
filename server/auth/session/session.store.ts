// Owns the rows of `sessions`: sign-ins, their rotations and their ends. Raw refresh tokens never come here.
import type { Database } from "../../database/database.ts";
import { databaseNow } from "../../database/clock.ts";
import { newId } from "../../lib/ids.ts";
import { toRole, toUserView } from "../person.ts";
import type { Authority, RevocationReason, SessionStore } from "../ports.ts";

const MAX_LISTED = 200;
/** Short transactions: a million old rows never hold up a sign-in. */
const PRUNE_BATCH = 1_000;
const MAX_PRUNE_ROUNDS = 1_000;

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

// Every busy user's session is asked for once a second: one plain statement costs a fraction of two of Prisma's.
const STANDING = `
  SELECT s.id AS sessionId, s.userId, s.revokedAt, s.revokedReason, u.role, u.authVersion, u.disabledAt, u.deletedAt
  FROM sessions s JOIN users u ON u.id = s.userId
  WHERE s.id IN`;

interface StandingRow {
  sessionId: string;
  userId: string;
  /** Dates as the database writes them; only whether they are there counts. */
  revokedAt: unknown;
  revokedReason: string | null;
  role: string;
  authVersion: number;
  disabledAt: unknown;
  deletedAt: unknown;
}

/** The store over either database. */
export function createSessionStore(database: Database): SessionStore {
  const { models } = database;
  // Even one statement may meet a conflict: `transaction` runs it again and gives its errors their names.
  const write = <T>(work: (own: typeof models) => Promise<T>) =>
    database.transaction((tx) => work(tx.models));
  const authority = { id: true, role: true, authVersion: true, disabledAt: true, deletedAt: true };
  const standing = (
    session: { revokedAt: unknown; revokedReason: string | null },
    user: { disabledAt: unknown; deletedAt: unknown },
  ) => {
    const userIsGone = user.disabledAt !== null || user.deletedAt !== null;
    return {
      ended: session.revokedAt !== null || userIsGone,
      replaced: session.revokedReason === ("replaced" satisfies RevocationReason) && !userIsGone,
    };
  };
  return {
    async authorities(wanted) {
      const rows = await models.$queryRawUnsafe<StandingRow[]>(
        `${STANDING} (${wanted.map(() => "?").join()})`,
        ...wanted.map((one) => one.sessionId),
      );
      const found = new Map<string, Authority>();
      for (const row of rows) {
        found.set(row.sessionId, {
          sessionId: row.sessionId,
          userId: row.userId,
          role: toRole(row.role),
          authVersion: row.authVersion,
          ...standing(row, row),
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
        ...standing(session, user),
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
    clock: () => databaseNow(database),
    async seal(sessionId, generation, graceSeconds) {
      const at = await databaseNow(database);
      await write(({ session }) =>
        session.updateMany({
          where: { id: sessionId, generation, graceEndsAt: null },
          data: { graceEndsAt: new Date(at.getTime() + graceSeconds * 1000) },
        }),
      );
    },
    revoke: (sessionId, reason, at, userId) =>
      write(async (own) => {
        const { count } = await own.session.updateMany({
          where: { id: sessionId, revokedAt: null, ...(userId === undefined ? {} : { userId }) },
          data: { revokedAt: at, revokedReason: reason },
        });
        if (count === 1 && reason === "reuse" && userId !== undefined) {
          await own.auditLog.create({
            data: {
              id: newId(at.getTime()),
              actorId: null,
              action: "session.reuse",
              targetType: "user",
              targetId: userId,
              reason: "A refresh token was used again after its time.",
              detail: JSON.stringify({ sessionId }),
              createdAt: at,
            },
          });
        }
        return count === 1;
      }),
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
    async prune(before) {
      let forgotten = 0;
      for (let round = 0; round < MAX_PRUNE_ROUNDS; round++) {
        const old = await models.session.findMany({
          where: { absoluteExpiresAt: { lt: before } },
          select: { id: true },
          take: PRUNE_BATCH,
        });
        if (old.length === 0) break;
        const ids = old.map((session) => session.id);
        const { count } = await write(({ session }) =>
          session.deleteMany({ where: { id: { in: ids } } }),
        );
        forgotten += count;
      }
      return forgotten;
    },
    async findUser(userId) {
      const row = await models.user.findUnique({ where: { id: userId }, select: userSelect });
      return row === null || row.deletedAt !== null ? null : toUserView(row);
    },
  };
}
