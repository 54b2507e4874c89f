// Counts what a transaction did once it is durable, and nothing if it was rolled back.
import type { Database, DatabaseTransaction } from "../database/ports.ts";

/** Defers effects until their transaction on `database` is committed. */
export function createAfterCommit(database: Database) {
  const waiting = new WeakMap<DatabaseTransaction, (() => void)[]>();
  const observed: Database = {
    ...database,
    async transaction(work) {
      let effects: (() => void)[] = [];
      const result = await database.transaction((tx) => {
        effects = [];
        waiting.set(tx, effects);
        return work(tx);
      });
      for (const effect of effects) effect();
      return result;
    },
  };
  return {
    /** `database`, but running the effects of each transaction after its COMMIT. */
    database: observed,
    /** Runs `effect` once `tx` is durable. An attempt that is retried leaves no effects behind. */
    on: (tx: DatabaseTransaction, effect: () => void) => void waiting.get(tx)?.push(effect),
  };
}
