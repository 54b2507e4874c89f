// Counting what a transaction did once it is durable, and not at all when it was rolled back.
import type { Database, DatabaseTransaction } from "../database/ports.ts";

/** Effects that wait for their transaction's COMMIT. */
export interface AfterCommit {
  /** `database`, running the effects of each transaction after its COMMIT. */
  readonly database: Database;
  /** Runs `effect` once `tx` is durable. A try that is repeated leaves nothing behind. */
  on(tx: DatabaseTransaction, effect: () => void): void;
}

/** Wraps `database`. */
export function createAfterCommit(database: Database): AfterCommit {
  const waiting = new WeakMap<DatabaseTransaction, (() => void)[]>();
  return {
    on: (tx, effect) => void waiting.get(tx)?.push(effect),
    database: {
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
    },
  };
}
