// Owns the rows administration writes, each with its audit line in the same transaction.
import { lockUser } from "../database/lock-user.ts";
import { toRole } from "../auth/user-view.ts";
import type { Database, DatabaseTransaction } from "../database/ports.ts";
import { AppError, assert } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Ledger } from "../ledger/ports.ts";
import { readUser, readUsers, toUserLine } from "./reads.store.ts";
import { readStats } from "./stats.store.ts";
import type { AdminStore } from "./ports.ts";
import type { AuditLine, UserLine } from "./admin.types.ts";

type Models = DatabaseTransaction["models"];

const noUser = () => AppError.of("NOT_FOUND", "There is no such user.");

/** The store over either database. */
export function createAdminStore(deps: {
  database: Database;
  ledger: Pick<Ledger, "applyIn">;
  now?: () => number;
}): AdminStore {
  const { database } = deps;
  const { models } = database;
  const now = deps.now ?? Date.now;

  const writeAudit = (target: Models, line: AuditLine) =>
    target.auditLog.create({
      data: {
        id: newId(now()),
        actorId: line.actorId,
        action: line.action,
        targetType: line.targetType,
        targetId: line.targetId,
        reason: line.reason,
        detail: line.detail === undefined ? null : JSON.stringify(line.detail),
        ipAddress: line.ip,
        createdAt: new Date(now()),
      },
    });

  /** Changes one account under its lock. `takesAdmin`: the change may take an administrator away. */
  const changeUser = (
    userId: string,
    takesAdmin: boolean,
    line: AuditLine,
    work: (
      tx: DatabaseTransaction,
      user: { role: string; disabledAt: Date | null },
    ) => Promise<void>,
  ): Promise<UserLine> =>
    database.transaction(async (tx) => {
      const admins = takesAdmin ? await lockAdmins(tx) : new Set<string>();
      await lockUser(tx, userId);
      const user = await tx.models.user.findUnique({ where: { id: userId } });
      if (user === null || user.deletedAt !== null) throw noUser();
      if (admins.has(userId) && admins.size === 1) {
        throw AppError.of("CONFLICT", "This is the last administrator. Make another one first.");
      }
      await work(tx, user);
      await writeAudit(tx.models, line);
      const changed = await tx.models.user.findUnique({ where: { id: userId } });
      assert(changed !== null, "a locked user stays");
      return toUserLine(changed);
    });

  return {
    users: (filter) => readUsers(models, filter),
    user: (userId) => readUser(models, userId),
    stats: (from, to) => readStats(models, from, to),
    audit: async (line) => {
      await database.transaction((tx) => writeAudit(tx.models, line));
    },
    setRole: (userId, role, line) =>
      changeUser(userId, role !== "ADMIN", line, async (tx, user) => {
        if (toRole(user.role) === role) return;
        await tx.models.user.update({
          where: { id: userId },
          // Access tokens signed before are refused: the next one carries the new role.
          data: { role, authVersion: { increment: 1 } },
          select: { id: true },
        });
      }),
    setDisabled: (userId, disabledAt, line) =>
      changeUser(userId, disabledAt !== null, line, async (tx, user) => {
        if (disabledAt === null) {
          await tx.models.user.update({
            where: { id: userId },
            data: { disabledAt: null },
            select: { id: true },
          });
          return;
        }
        await tx.models.user.update({
          where: { id: userId },
          data: { disabledAt: user.disabledAt ?? disabledAt, authVersion: { increment: 1 } },
          select: { id: true },
        });
        // For good: enabling the account again does not bring old sign-ins back.
        await tx.models.session.updateMany({
          where: { userId, revokedAt: null },
          data: { revokedAt: disabledAt, revokedReason: "disabled" },
        });
      }),
    adjust: (operation, line) =>
      database.transaction(async (tx) => {
        const [result] = await deps.ledger.applyIn(tx, [operation]);
        assert(result !== undefined && result.transactionId !== null, "an adjustment is an entry");
        // A repeated key has its line already.
        if (!result.replayed) await writeAudit(tx.models, line);
        const { transactionId, credits, replayed } = result;
        return { transactionId, balance: credits, replayed };
      }),
  };
}

/** Locks every enabled administrator, in id order, so that two of them cannot remove each other at once. */
async function lockAdmins(tx: DatabaseTransaction): Promise<Set<string>> {
  const lock = tx.sql.dialect === "mysql" ? " FOR UPDATE" : "";
  const rows = await tx.sql.query<{ id: string }>(
    `SELECT id FROM users WHERE role = ? AND disabledAt IS NULL AND deletedAt IS NULL ORDER BY id${lock}`,
    ["ADMIN"],
  );
  return new Set(rows.map((row) => row.id));
}
