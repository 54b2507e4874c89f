// Administrators' writes, each with its audit line in the same transaction.
import type { Role } from "../../shared/src/auth.ts";
import { writeAuditLine } from "../database/audit-log.ts";
import { lockUser } from "../database/lock-user.ts";
import { toRole } from "../auth/user-view.ts";
import type { AuditLine, Database, DatabaseTransaction } from "../database/ports.ts";
import { AppError, assert, notFound } from "../lib/errors.ts";
import type { AdjustOperation, Ledger } from "../ledger/ports.ts";
import { readUser, readUsers, toUserLine } from "./reads.store.ts";
import { readStats } from "./stats.store.ts";
import type { AdminStore } from "./ports.ts";
import type { UserLine } from "./admin.types.ts";

interface Deps {
  readonly database: Database;
  readonly ledger: Pick<Ledger, "applyIn">;
  readonly now: () => number;
}

/** Returns the store over either database. */
export function createAdminStore(deps: Deps): AdminStore {
  const { database } = deps;
  return {
    users: (filter) => readUsers(database, filter),
    user: (userId) => readUser(database.models, userId),
    stats: (from, to) => readStats(database, from, to),
    audit: (line) =>
      database.transaction((tx) => writeAuditLine(tx.models, new Date(deps.now()), line)),
    setRole: (userId, role, line) => setRole(deps, userId, role, line),
    setDisabled: (userId, disabledAt, line) => setDisabled(deps, userId, disabledAt, line),
    adjust: (operation, line) => adjust(deps, operation, line),
  };
}

/** A change to one account. */
interface UserChange {
  readonly userId: string;
  /** Whether it may leave one administrator fewer. */
  readonly takesAdmin: boolean;
  readonly line: AuditLine;
  apply(tx: DatabaseTransaction, user: { role: string; disabledAt: Date | null }): Promise<void>;
}

/** Applies a change under the account's lock, with its audit line. Throws NOT_FOUND, CONFLICT (last admin). */
function changeUser(
  deps: Deps,
  { userId, takesAdmin, line, apply }: UserChange,
): Promise<UserLine> {
  return deps.database.transaction(async (tx) => {
    const admins = takesAdmin ? await lockAdmins(tx) : new Set<string>();
    await lockUser(tx, userId);
    const user = await tx.models.user.findUnique({ where: { id: userId } });
    if (user === null || user.deletedAt !== null) throw notFound("user");
    if (admins.has(userId) && admins.size === 1) {
      throw AppError.of("CONFLICT", "This is the last administrator. Make another one first.");
    }
    await apply(tx, user);
    await writeAuditLine(tx.models, new Date(deps.now()), line);
    const changed = await tx.models.user.findUnique({ where: { id: userId } });
    assert(changed !== null, "a locked user stays");
    return toUserLine(changed);
  });
}

function setRole(deps: Deps, userId: string, role: Role, line: AuditLine): Promise<UserLine> {
  return changeUser(deps, {
    userId,
    takesAdmin: role !== "ADMIN",
    line,
    apply: async (tx, user) => {
      if (toRole(user.role) === role) return;
      await tx.models.user.update({
        where: { id: userId },
        // Access tokens signed before this are refused, and the next one gets the new role.
        data: { role, authVersion: { increment: 1 } },
        select: { id: true },
      });
    },
  });
}

function setDisabled(
  deps: Deps,
  userId: string,
  disabledAt: Date | null,
  line: AuditLine,
): Promise<UserLine> {
  return changeUser(deps, {
    userId,
    takesAdmin: disabledAt !== null,
    line,
    apply: async (tx, user) => {
      await tx.models.user.update({
        where: { id: userId },
        data:
          disabledAt === null
            ? { disabledAt: null }
            : { disabledAt: user.disabledAt ?? disabledAt, authVersion: { increment: 1 } },
        select: { id: true },
      });
      if (disabledAt === null) return;
      // For good: enabling the account again does not revive old sign-ins.
      await tx.models.session.updateMany({
        where: { userId, revokedAt: null },
        data: { revokedAt: disabledAt, revokedReason: "disabled" },
      });
    },
  });
}

function adjust(
  deps: Deps,
  operation: AdjustOperation,
  line: AuditLine,
): ReturnType<AdminStore["adjust"]> {
  return deps.database.transaction(async (tx) => {
    const [result] = await deps.ledger.applyIn(tx, [operation]);
    assert(result !== undefined && result.transactionId !== null, "an adjustment is an entry");
    // A replay already has its line.
    if (!result.replayed) await writeAuditLine(tx.models, new Date(deps.now()), line);
    const { transactionId, credits, replayed } = result;
    return { transactionId, balance: credits, replayed };
  });
}

/** Locks every enabled administrator, in id order, so that two of them cannot remove each other simultaneously. */
async function lockAdmins(tx: DatabaseTransaction): Promise<Set<string>> {
  const lock = tx.sql.dialect === "mysql" ? " FOR UPDATE" : "";
  const rows = await tx.sql.query<{ id: string }>(
    `SELECT id FROM users WHERE role = ? AND disabledAt IS NULL AND deletedAt IS NULL ORDER BY id${lock}`,
    ["ADMIN"],
  );
  return new Set(rows.map((row) => row.id));
}
