// The rows of `sessions`: sign-ins, their rotations and their ends. Raw refresh tokens never get this far.
import { writeAuditLine } from "../../database/audit-log.ts";
import type { Database, PrismaModels } from "../../database/ports.ts";
import { databaseNow } from "../../database/clock.ts";
import { toRole } from "../user-view.ts";
import type {
  LiveSession,
  RevocationReason,
  Rotation,
  SessionRecord,
  SessionStatus,
} from "../auth.types.ts";
import type { SessionStore } from "../ports.ts";

const MAX_LISTED = 200;

const statusSelect = {
  id: true,
  role: true,
  authVersion: true,
  disabledAt: true,
  deletedAt: true,
} as const;

// Read once a second for every busy user, so this is one plain statement, at a fraction of the cost of Prisma's two.
const STATUSES = `
  SELECT s.id AS sessionId, s.userId, s.revokedAt, s.revokedReason, u.role, u.authVersion, u.disabledAt, u.deletedAt
  FROM sessions s JOIN users u ON u.id = s.userId
  WHERE s.id IN`;

interface StatusRow {
  sessionId: string;
  userId: string;
  /** Dates are as the database returns them; only whether they are null matters. */
  revokedAt: unknown;
  revokedReason: string | null;
  role: string;
  authVersion: number;
  disabledAt: unknown;
  deletedAt: unknown;
}

/** Returns the store over either database. */
export function createSessionStore(database: Database): SessionStore {
  return {
    statuses: (sessionIds) => readStatuses(database, sessionIds),
    find: (sessionId) => findSession(database, sessionId),
    rotate: (rotation) => rotateSession(database, rotation),
    clock: () => databaseNow(database),
    endGrace: (sessionId, generation, graceSeconds) =>
      endGrace(database, { sessionId, generation, graceSeconds }),
    revoke: (sessionId, reason, at, userId) =>
      revokeSession(database, { sessionId, reason, at, userId }),
    owns: async (userId, sessionId) =>
      (await database.models.session.count({ where: { id: sessionId, userId } })) === 1,
    revokeAll: (userId, at) => revokeAllSessions(database, userId, at),
    live: (userId, now) => readLiveSessions(database, userId, now),
  };
}

/** Even a single statement may run into a conflict: `transaction` retries it and classifies its errors. */
function write<T>(database: Database, work: (models: PrismaModels) => Promise<T>): Promise<T> {
  return database.transaction((tx) => work(tx.models));
}

function endOf(
  session: { revokedAt: unknown; revokedReason: string | null },
  user: { disabledAt: unknown; deletedAt: unknown },
): Pick<SessionStatus, "ended" | "replaced"> {
  const userIsGone = user.disabledAt !== null || user.deletedAt !== null;
  return {
    ended: session.revokedAt !== null || userIsGone,
    replaced: session.revokedReason === ("replaced" satisfies RevocationReason) && !userIsGone,
  };
}

async function readStatuses(
  database: Database,
  sessionIds: readonly string[],
): Promise<Map<string, SessionStatus>> {
  const rows = await database.read<StatusRow>(
    `${STATUSES} (${sessionIds.map(() => "?").join()})`,
    sessionIds,
  );
  const found = new Map<string, SessionStatus>();
  for (const row of rows) {
    const { sessionId, userId, authVersion } = row;
    const status = { sessionId, userId, role: toRole(row.role), authVersion, ...endOf(row, row) };
    found.set(sessionId, status);
  }
  return found;
}

async function findSession({ models }: Database, sessionId: string): Promise<SessionRecord | null> {
  const session = await models.session.findUnique({
    where: { id: sessionId },
    omit: { refreshTokenHash: false, previousTokenHash: false },
  });
  if (session === null) return null;
  const user = await models.user.findUnique({
    where: { id: session.userId },
    select: statusSelect,
  });
  if (user === null) return null;
  return {
    sessionId: session.id,
    userId: user.id,
    role: toRole(user.role),
    authVersion: user.authVersion,
    ...endOf(session, user),
    tokenHash: session.refreshTokenHash,
    previousTokenHash: session.previousTokenHash,
    generation: session.generation,
    graceEndsAt: session.graceEndsAt,
    expiresAt: session.expiresAt,
    absoluteExpiresAt: session.absoluteExpiresAt,
  };
}

async function rotateSession(database: Database, rotation: Rotation): Promise<boolean> {
  const { sessionId, fromGeneration, fromHash, toHash, at, expiresAt, client } = rotation;
  // One conditional UPDATE, so that of any number of concurrent refreshes exactly one finds the row unchanged.
  const { count } = await write(database, ({ session }) =>
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
}

async function endGrace(
  database: Database,
  rotation: { sessionId: string; generation: number; graceSeconds: number },
): Promise<void> {
  const at = await databaseNow(database);
  await write(database, ({ session }) =>
    session.updateMany({
      where: { id: rotation.sessionId, generation: rotation.generation, graceEndsAt: null },
      data: { graceEndsAt: new Date(at.getTime() + rotation.graceSeconds * 1000) },
    }),
  );
}

function revokeSession(
  database: Database,
  revocation: {
    sessionId: string;
    reason: RevocationReason;
    at: Date;
    userId: string | undefined;
  },
): Promise<boolean> {
  const { sessionId, reason, at, userId } = revocation;
  return write(database, async (models) => {
    const { count } = await models.session.updateMany({
      where: { id: sessionId, revokedAt: null, ...(userId === undefined ? {} : { userId }) },
      data: { revokedAt: at, revokedReason: reason },
    });
    if (count === 1 && reason === "reuse" && userId !== undefined) {
      await writeAuditLine(models, at, {
        actorId: null,
        action: "session.reuse",
        targetType: "user",
        targetId: userId,
        reason: "A refresh token was used again after its time.",
        detail: { sessionId },
      });
    }
    return count === 1;
  });
}

function revokeAllSessions(database: Database, userId: string, at: Date): Promise<number> {
  return write(database, async (models) => {
    // The user's row first: every writer that touches both locks them in this order.
    await models.user.updateMany({
      where: { id: userId },
      data: { authVersion: { increment: 1 } },
    });
    const reason: RevocationReason = "logoutAll";
    const end = (which: { expiresAt?: { gt: Date } }) =>
      models.session.updateMany({
        where: { userId, revokedAt: null, ...which },
        data: { revokedAt: at, revokedReason: reason },
      });
    // Count only unexpired sessions, which are the ones listed. The others end, too, because clocks differ.
    const { count } = await end({ expiresAt: { gt: at } });
    await end({});
    return count;
  });
}

function readLiveSessions({ models }: Database, userId: string, now: Date): Promise<LiveSession[]> {
  return models.session.findMany({
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
  });
}
