// Owns the user's own rows: profile, export, erasure.
import type { Database } from "../database/ports.ts";
import { lockUser } from "../database/lock-user.ts";
import { toUserView } from "../auth/user-view.ts";
import { AppError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { exportUser } from "./export.store.ts";
import type { UserStore } from "./user.service.ts";

/** The address of an account whose person is gone: unique, and of a domain that can never receive mail (RFC 2606). */
export function erasedEmail(userId: string): string {
  return `deleted-${userId}@deleted.invalid`;
}

/** The store over either database. */
export function createUserStore(database: Database): UserStore {
  const { models } = database;
  return {
    async find(userId) {
      const row = await models.user.findUnique({ where: { id: userId } });
      return row === null || row.deletedAt !== null ? null : toUserView(row);
    },
    async update(userId, change) {
      const row = await database.transaction(async (tx) => {
        await tx.models.user.updateMany({
          where: { id: userId, deletedAt: null },
          // Only what was given: Prisma leaves `undefined` alone.
          data: { name: change.name, avatar: change.avatar },
        });
        // Read, not counted: MySQL counts changed rows, and a change to the same value is none.
        return tx.models.user.findUnique({ where: { id: userId } });
      });
      if (row === null || row.deletedAt !== null) {
        throw AppError.of("NOT_FOUND", "There is no such account.");
      }
      return toUserView(row);
    },
    exportAll: (userId, signal) => exportUser(models, userId, signal),
    erase: (userId, at) =>
      database.transaction(async (tx) => {
        await lockUser(tx, userId);
        const user = await tx.models.user.findUnique({ where: { id: userId } });
        if (user === null || user.deletedAt !== null) return true;
        const live = await tx.models.subscription.count({ where: { liveKey: userId } });
        if (live > 0) return false;
        await tx.models.user.update({
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
        // The identity's hash stays, so that neither the signup bonus is given twice nor a debt washed off; the
        // account it leads to has no person any more.
        const identities = await tx.models.identity.findMany({
          where: { userId },
          select: { id: true },
        });
        await tx.models.formerAccount.createMany({
          data: identities.map(({ id }) => ({ identityId: id, erasedUserId: userId })),
        });
        await tx.models.identity.updateMany({
          where: { userId },
          data: { userId: null, subject: null },
        });
        await tx.models.session.updateMany({
          where: { userId, revokedAt: null },
          data: { revokedAt: at, revokedReason: "deleted" },
        });
        await tx.models.session.updateMany({
          where: { userId },
          data: { userAgent: null, ipAddress: null },
        });
        await tx.models.auditLog.updateMany({
          where: { actorId: userId },
          data: { ipAddress: null },
        });
        await tx.models.auditLog.create({
          data: {
            id: newId(at.getTime()),
            actorId: userId,
            action: "user.delete",
            targetType: "user",
            targetId: userId,
            createdAt: at,
          },
        });
        return true;
      }),
  };
}
