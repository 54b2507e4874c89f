// The ledger as the rest of the server sees it: the sole writer of credits.
import type { Database, DatabaseTransaction } from "../database/ports.ts";
import type { Cache, Locks, PubSub } from "../kv/ports.ts";
import { newId } from "../lib/ids.ts";
import type { Logger } from "../lib/logger.ts";
import { createAnnounce } from "./balance-cache.ts";
import type { Ledger, LedgerOperation, OperationResult, ResultOf } from "./ports.ts";
import { loadBatch, saveBatch } from "./store/accounts.store.ts";
import { type BatchClock, createBatchState } from "./writer/batch-state.ts";
import { validateOperation } from "./writer/validate.ts";
import { createWriter, type WriterDeps } from "./writer/writer.ts";

/** Dependencies of the ledger. */
export interface LedgerDeps extends BatchClock {
  readonly database: Database;
  readonly locks: Locks;
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly logger: Logger;
  /** Overrides of the writer's default limits. */
  readonly limits?: WriterDeps["limits"];
  readonly onBatch?: WriterDeps["onBatch"];
  readonly tracer: WriterDeps["tracer"];
  /** Called with each applied operation and its result, for the metrics; if `tx` is given, it has not committed yet. */
  readonly onApplied?: (
    operation: LedgerOperation,
    result: OperationResult,
    tx?: DatabaseTransaction,
  ) => void;
  /** The same for the credits that a batch took because they had expired. */
  readonly onExpired?: (credits: number, tx?: DatabaseTransaction) => void;
}

/** Creates the ledger. Call its `close()` before closing the database, because it finishes queued operations. */
export function createLedger(deps: LedgerDeps): Ledger {
  const announce = createAnnounce(deps);
  const writer = createWriter({ ...deps, announce });
  return {
    async submit<Operation extends LedgerOperation>(operation: Operation) {
      validateOperation(operation);
      const result = await writer.submit(operation);
      deps.onApplied?.(operation, result);
      return result as ResultOf<Operation>;
    },
    applyIn: (tx, operations) => applyIn(deps, tx, operations),
    changed: announce,
    get pending() {
      return writer.pending;
    },
    close: () => writer.close(),
  };
}

async function applyIn<Operation extends LedgerOperation>(
  deps: Pick<LedgerDeps, keyof BatchClock | "onApplied" | "onExpired">,
  tx: DatabaseTransaction,
  operations: readonly Operation[],
): Promise<ResultOf<Operation>[]> {
  for (const operation of operations) validateOperation(operation);
  const { sql } = tx;
  const batch = createBatchState(await loadBatch(sql, operations, "wait"), deps);
  const results = operations.map((operation) => {
    const verdict = batch.apply(operation, newId(deps.now()));
    // Rolls back the caller's transaction, so that all of its operations are applied or none.
    if (!verdict.ok) throw verdict.error;
    deps.onApplied?.(operation, verdict.result, tx);
    return verdict.result as ResultOf<Operation>;
  });
  if (batch.dirty) await saveBatch(sql, batch.writes());
  deps.onExpired?.(batch.expiredCredits(), tx);
  return results;
}
