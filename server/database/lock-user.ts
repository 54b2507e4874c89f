// The lock that serializes everything done to one account: the user's row, always locked before any other.
import type { DatabaseTransaction } from "./ports.ts";

/** Locks the user's row until the transaction ends. Does nothing on SQLite, which has one writer at a time anyway. */
export async function lockUser(tx: DatabaseTransaction, userId: string): Promise<void> {
  if (tx.sql.dialect === "sqlite") return;
  await tx.sql.query("SELECT id FROM users WHERE id = ? FOR UPDATE", [userId]);
}
