// One transaction of the writer: lock the user rows, read, decide every operation in memory in arrival order, write.
import type { Database } from "../../database/ports.ts";
import type { Verdict } from "../model/operation-effect.ts";
import type { LedgerOperation } from "../ports.ts";
import { loadBatch, saveBatch } from "../store/accounts.store.ts";
import { type BatchClock, createBatchState } from "./batch-state.ts";
import { toTransactionFailed } from "./errors.ts";

/** An operation to apply. */
interface Submitted {
  readonly userId: string;
  readonly operation: LedgerOperation;
  readonly operationId: string;
}

/** What became of a batch's operations. */
export interface Committed<Item> {
  readonly applied: readonly Item[];
  /** Of the applied ones. */
  readonly verdicts: readonly Verdict[];
  readonly changedUserIds: readonly string[];
  readonly expiredCredits: number;
  /** Not decided yet, because other transactions hold their users' rows. */
  readonly leftOut: readonly Item[];
}

/**
 * Applies the operations, except those of users whose rows others hold: it waits for no row, because the rest of the
 * batch, and the next batch, would wait as well. Throws TransactionFailed.
 */
export async function transact<Item extends Submitted>(
  deps: BatchClock & { readonly database: Database },
  items: readonly Item[],
): Promise<Committed<Item>> {
  let decided = false;
  try {
    return await deps.database.rawTransaction(async (session) => {
      const operations = items.map((item) => item.operation);
      const loaded = await loadBatch(session, operations, "skip");
      const isLeftOut = ({ userId }: Item) => loaded.heldElsewhere.has(userId);
      const applied = items.filter((item) => !isLeftOut(item));
      const batch = createBatchState(loaded, deps);
      const verdicts = applied.map((item) => batch.apply(item.operation, item.operationId));
      if (batch.dirty) await saveBatch(session, batch.writes());
      decided = true;
      return {
        applied,
        verdicts,
        changedUserIds: batch.changedUserIds(),
        expiredCredits: batch.expiredCredits(),
        leftOut: items.filter(isLeftOut),
      };
    });
  } catch (error) {
    throw toTransactionFailed(error, decided);
  }
}
