// Owns the ledger as the rest of the server sees it: the sole writer of credits.
import type { Cache, Locks, PubSub } from "../kv/ports.ts";
import type { Database } from "../database/database.ts";
import type { Logger } from "../lib/logger.ts";
import { createAnnounce } from "./balance-cache.ts";
import { newId } from "../lib/ids.ts";
import type { Ledger, LedgerOperation, ResultOf } from "./ports.ts";
import { createSheet } from "./writer/batch-state.ts";
import { load, save } from "./store/accounts.store.ts";
import { validateOperation } from "./writer/validate.ts";
import { createWriter, type WriterDeps } from "./writer/writer.ts";

/** What the ledger stands on. */
export interface LedgerDeps {
  readonly database: Database;
  readonly locks: Locks;
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly logger: Logger;
  /** Milliseconds since 1970, as Date.now; tests bring their own. */
  readonly now: () => number;
  /** The writer's bounds, where they are not the usual ones. */
  readonly limits?: WriterDeps["limits"];
  readonly onBatch?: WriterDeps["onBatch"];
}

/** Makes the ledger. `close()` it before the database: it finishes what is queued. */
export function createLedger(deps: LedgerDeps): Ledger {
  const announce = createAnnounce(deps);
  const writer = createWriter({ ...deps, announce });
  return {
    async submit<Operation extends LedgerOperation>(operation: Operation) {
      validateOperation(operation);
      return (await writer.submit(operation)) as ResultOf<Operation>;
    },
    async applyIn<Operation extends LedgerOperation>(
      { sql }: Parameters<Ledger["applyIn"]>[0],
      operations: readonly Operation[],
    ) {
      for (const operation of operations) validateOperation(operation);
      const sheet = createSheet(await load(sql, operations), deps.now());
      const results = operations.map((operation) => {
        const verdict = sheet.apply(operation, newId(deps.now()));
        // The caller's transaction ends here: all of its operations happen, or none.
        if (!verdict.ok) throw verdict.error;
        return verdict.result as ResultOf<Operation>;
      });
      if (sheet.dirty) await save(sql, sheet);
      return results;
    },
    changed: announce,
    get pending() {
      return writer.pending;
    },
    close: () => writer.close(),
  };
}
