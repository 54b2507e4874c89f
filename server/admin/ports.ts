// What administration needs of the database.
import type { Role } from "../../shared/src/auth.ts";
import type { AdjustOperation } from "../ledger/ports.ts";
import type { AuditLine } from "../database/ports.ts";
import type { AdminInput, AdminOutput, UserLine } from "./admin.types.ts";

/** Rows as administration reads and writes them. */
export interface AdminStore {
  /** Users, newest first. VALIDATION_FAILED for a forged cursor. */
  users(filter: AdminInput<"users">): Promise<AdminOutput<"users">>;
  /** Throws NOT_FOUND. */
  user(userId: string): Promise<Omit<AdminOutput<"user">, "history">>;
  /** The role, the audit line and the end of older access tokens in one transaction. NOT_FOUND, CONFLICT (last admin). */
  setRole(userId: string, role: Role, line: AuditLine): Promise<UserLine>;
  /** Disables or enables; disabling ends every session. NOT_FOUND, CONFLICT (last admin). */
  setDisabled(userId: string, disabledAt: Date | null, line: AuditLine): Promise<UserLine>;
  /** Applies the correction and its audit line in one transaction. Throws what Ledger.submit throws. */
  adjust(operation: AdjustOperation, line: AuditLine): Promise<AdminOutput<"adjustCredits">>;
  audit(line: AuditLine): Promise<void>;
  /** What happened in [from, to), or in what the answer says: see CreditTotalsStore.movements. */
  stats(from: Date, to: Date): Promise<AdminOutput<"stats">>;
}
