// What administration needs from the database.
import type { Role } from "../../shared/src/auth.ts";
import type { AdjustOperation } from "../ledger/ports.ts";
import type { AuditLine } from "../database/ports.ts";
import type { AdminInput, AdminOutput, UserLine } from "./admin.types.ts";

/** The rows that administration reads and writes. Implemented by admin.store.ts. */
export interface AdminStore {
  /** Returns users, newest first. Throws VALIDATION_FAILED for a forged cursor. */
  users(filter: AdminInput<"users">): Promise<AdminOutput<"users">>;
  /** Throws NOT_FOUND. */
  user(userId: string): Promise<Omit<AdminOutput<"user">, "history">>;
  /** Sets the role and ends older access tokens in one audited transaction. Throws NOT_FOUND, CONFLICT (last admin). */
  setRole(userId: string, role: Role, line: AuditLine): Promise<UserLine>;
  /** Disables or enables an account; disabling ends every session. Throws NOT_FOUND, CONFLICT (last admin). */
  setDisabled(userId: string, disabledAt: Date | null, line: AuditLine): Promise<UserLine>;
  /** Applies the correction and its audit line in one transaction. Throws what Ledger.submit throws. */
  adjust(operation: AdjustOperation, line: AuditLine): Promise<AdminOutput<"adjustCredits">>;
  audit(line: AuditLine): Promise<void>;
  /** Returns what happened in [from, to), or in the slightly wider range it states: see CreditTotalsStore.movements. */
  stats(from: Date, to: Date): Promise<AdminOutput<"stats">>;
}
