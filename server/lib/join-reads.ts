// Coalesces reads of single rows: those that arrive while one statement is in flight share the next one.
import { withTimeout } from "./timeout.ts";

/** How rows are read together. */
export interface JoinedRead<Row> {
  /** Reads rows by their keys; keys without a row are absent from the result. */
  readonly readMany: (keys: readonly string[]) => Promise<ReadonlyMap<string, Row>>;
  /** Maximum number of keys in one statement. */
  readonly most: number;
  /** Longest wait of any caller, including the wait for the read before its own. */
  readonly withinMs: number;
  readonly timeoutError: () => Error;
}

interface Group<Row> {
  readonly keys: Set<string>;
  readonly answer: Promise<ReadonlyMap<string, Row>>;
}

/**
 * Returns a function that reads one row, or null when there is none. Every caller gets a read begun after its call, so
 * it sees everything committed before. Rejects as `readMany` does, or with `timeoutError()`.
 */
export function joinReads<Row>(options: JoinedRead<Row>): (key: string) => Promise<Row | null> {
  let running: Promise<unknown> = Promise.resolve();
  let collecting: Group<Row> | null = null;

  function begin(): Group<Row> {
    const keys = new Set<string>();
    const answer = running
      .catch(() => undefined)
      .then(() => {
        // The read begins now, so later callers belong to the next one.
        if (collecting?.keys === keys) collecting = null;
        return options.readMany([...keys]);
      });
    const inTime = withTimeout(answer, options.withinMs, options.timeoutError);
    // Not `answer` itself: a read that hangs would hold up every read after it.
    running = inTime;
    return { keys, answer: inTime };
  }

  return async (key) => {
    if (collecting === null || collecting.keys.size >= options.most) collecting = begin();
    const { keys, answer } = collecting;
    keys.add(key);
    return (await answer).get(key) ?? null;
  };
}
