// Observers of every statement, for metrics and traces. By default there are none, which costs one comparison.
import type { StatementObserver } from "./ports.ts";

/** Reports statements to observers. */
export interface Statements {
  /** Calls `observer` for every statement from now on, until the returned function is called. */
  observe(observer: StatementObserver): () => void;
  /** Runs a statement and reports it. */
  watch<T>(sql: string, run: () => Promise<T>): Promise<T>;
  /** Runs a synchronous statement and reports it. */
  watchSync<T>(sql: string, run: () => T): T;
}

/** Creates it, without any observers yet. */
export function createStatements(): Statements {
  const observers = new Set<StatementObserver>();
  const begin = (sql: string) => [...observers].map((observer) => observer(sql));
  return {
    observe(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    watch<T>(sql: string, run: () => Promise<T>) {
      if (observers.size === 0) return run();
      const ends = begin(sql);
      const running = run();
      const end = (error?: unknown) => {
        for (const tell of ends) tell(error);
      };
      running.then(() => end(), end);
      return running;
    },
    watchSync<T>(sql: string, run: () => T): T {
      if (observers.size === 0) return run();
      const ends = begin(sql);
      try {
        const result = run();
        for (const end of ends) end();
        return result;
      } catch (error) {
        for (const end of ends) end(error);
        throw error;
      }
    },
  };
}
