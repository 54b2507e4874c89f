// One user's rows: profile, export, erasure.
import type { Database, DatabaseTransaction } from "../database/ports.ts";
import { writeAuditLine } from "../database/audit-log.ts";
import { lockUser } from "../database/lock-user.ts";
import type { UserView } from "../auth/auth.types.ts";
import { recordAddressHolder } from "../auth/sign-in/address-history.store.ts";
import { toUserView } from "../auth/user-view.ts";
import { notFound } from "../lib/errors.ts";
import { exportUser } from "./export.store.ts";
import type { ProfileChange, UserStore } from "./ports.ts";

/** Returns an address for an erased account: unique, in a domain that can never receive mail (RFC 2606). */
function erasedEmail(userId: string): string {
  return `deleted-${userId}@deleted.invalid`;
}

/** What users see of their own row, and whether the account was deleted. */
const viewSelect = {
  id: true,
  email: true,
  name: true,
  avatar: true,
  role: true,
  credits: true,
  createdAt: true,
  deletedAt: true,
} as const;

/** Returns the store over either database. */
export function createUserStore(database: Database): UserStore {
  return {
    find: (userId) => findUser(database, userId),
    update: (userId, change) => updateUser(database, userId, change),
    exportAll: (userId, signal) => exportUser(database.models, userId, { signal }),
    erase: (userId, at) => database.transaction((tx) => eraseUser(tx, userId, at)),
  };
}

async function findUser({ models }: Database, userId: string): Promise<UserView | null> {
  const row = await models.user.findUnique({ where: { id: userId }, select: viewSelect });
  return row === null || row.deletedAt !== null ? null : toUserView(row);
}

async function updateUser(
  database: Database,
  userId: string,
  change: ProfileChange,
): Promise<UserView> {
  const row = await database.transaction(async ({ models }) => {
    await models.user.updateMany({
      where: { id: userId, deletedAt: null },
      // Only the given fields change: Prisma ignores `undefined`.
      data: { name: change.name, avatar: change.avatar },
    });
    // Read the row instead of using the count: MySQL counts only changed rows, and an equal value changes nothing.
    return models.user.findUnique({ where: { id: userId }, select: viewSelect });
  });
  if (row === null || row.deletedAt !== null) {
    throw notFound("account");
  }
  return toUserView(row);
}

/** Returns false while a live subscription, or a checkout that may become one, prevents it. */
async function eraseUser(tx: DatabaseTransaction, userId: string, at: Date): Promise<boolean> {
  const { models } = tx;
  await lockUser(tx, userId);
  const user = await models.user.findUnique({ where: { id: userId } });
  if (user === null || user.deletedAt !== null) return true;
  const live = await models.subscription.count({ where: { liveKey: userId } });
  const open = await models.checkout.count({ where: { userId, status: "OPEN" } });
  if (live > 0 || open > 0) return false;
  await recordAddressHolder(models, user, at);
  await models.user.update({
    where: { id: userId },
    data: {
      email: erasedEmail(userId),
      emailVerifiedAt: null,
      name: null,
      avatar: null,
      role: "USER",
      deletedAt: at,
      authVersion: { increment: 1 },
    },
    select: { id: true },
  });
  await unlinkIdentities(tx, userId);
  await endSessions(tx, userId, at);
  const target = { targetType: "user", targetId: userId };
  // A line without an actor was written at a sign-in of this user, so the IP address in it is theirs.
  await models.auditLog.updateMany({
    where: { OR: [{ actorId: userId }, { actorId: null, ...target }] },
    data: { ipAddress: null },
  });
  await writeAuditLine(models, at, { ...target, actorId: userId, action: "user.delete" });
  return true;
}

/**
 * Keeps the identity's hash, so that returning neither earns the signup bonus twice nor clears a debt, but unlinks it
 * from the erased account.
 */
async function unlinkIdentities({ models }: DatabaseTransaction, userId: string): Promise<void> {
  const identities = await models.identity.findMany({ where: { userId }, select: { id: true } });
  await models.formerAccount.createMany({
    data: identities.map(({ id }) => ({ identityId: id, erasedUserId: userId })),
  });
  await models.identity.updateMany({
    where: { userId },
    data: { userId: null, subject: null },
  });
}

async function endSessions(
  { models }: DatabaseTransaction,
  userId: string,
  at: Date,
): Promise<void> {
  await models.session.updateMany({
    where: { userId, revokedAt: null },
    data: { revokedAt: at, revokedReason: "deleted" },
  });
  await models.session.updateMany({
    where: { userId },
    data: { userAgent: null, ipAddress: null },
  });
}
