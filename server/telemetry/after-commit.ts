// Counting what a transaction did once it is durable, and not at all when it was rolled back.
import type { Database, DatabaseTransaction } from "../database/ports.ts";

/** Makes effects wait for the COMMIT of their transaction on `database`. */
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
    /** `database`, running the effects of each transaction after its COMMIT. */
    database: observed,
    /** Runs `effect` once `tx` is durable. A try that is repeated leaves nothing behind. */
    on: (tx: DatabaseTransaction, effect: () => void) => void waiting.get(tx)?.push(effect),
  };
}
