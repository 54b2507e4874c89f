// The lock that orders everything done to one account: the user's row, always before any other.
import type { DatabaseTransaction } from "./ports.ts";

/** Locks the user's row until the transaction ends. SQLite has one writer at a time anyway. */
export async function lockUser(tx: DatabaseTransaction, userId: string): Promise<void> {
  if (tx.sql.dialect === "sqlite") return;
  await tx.sql.query("SELECT id FROM users WHERE id = ? FOR UPDATE", [userId]);
}
