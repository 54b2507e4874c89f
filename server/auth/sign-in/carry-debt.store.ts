// Carries the debt of a deleted account over to the new account of a person who returns.
import type { DatabaseTransaction } from "../../database/ports.ts";
import { lockUser } from "../../database/lock-user.ts";
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { Ledger } from "../../ledger/ports.ts";

/** More accounts than any honest person has deleted. Any further ones follow at later sign-ins. */
const MAX_ACCOUNTS = 20;

/**
 * Moves the debt of every former account of this identity to `userId`, in the sign-in's own transaction. Includes debt
 * that arose after the deletion (a dispute takes months). Returns whether anything moved.
 */
export async function carryDebt(
  tx: DatabaseTransaction,
  ledger: Pick<Ledger, "applyIn">,
  identityId: string,
  userId: string,
): Promise<boolean> {
  const former = await tx.models.formerAccount.findMany({ where: { identityId } });
  if (former.length === 0) return false;
  const owing = await tx.models.user.findMany({
    where: { id: { in: former.map((row) => row.erasedUserId) }, credits: { lt: 0 } },
    select: { id: true },
    take: MAX_ACCOUNTS,
  });
  if (owing.length === 0) return false;
  // Lock in id order, as everywhere that several accounts are locked.
  const ids = owing.map(({ id }) => id);
  for (const id of [...ids, userId].sort()) await lockUser(tx, id);
  const owed = await tx.models.user.findMany({
    where: { id: { in: ids }, credits: { lt: 0 } },
    select: { id: true, credits: true, ledgerSeq: true },
  });
  for (const { id, credits, ledgerSeq } of owed) {
    // The debtor's sequence number makes the key unique, because the move itself advances that number.
    const move = (account: string, other: string, amountCredits: number) => ({
      kind: "carryDebt" as const,
      userId: account,
      amountCredits,
      sourceId: other,
      idempotencyKey: scopedKey("debt", String(ledgerSeq), id),
    });
    await ledger.applyIn(tx, [move(id, userId, -credits), move(userId, id, credits)]);
  }
  return owed.length > 0;
}
