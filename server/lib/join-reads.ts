// Reads of single rows, joined: those that arrive while one statement is under way share the next one.
import { withTimeout } from "./timeout.ts";

/** How rows are read together. */
export interface JoinedRead<Row> {
  /** Reads rows by their keys; a key without a row is left out of the answer. */
  readonly readMany: (keys: readonly string[]) => Promise<ReadonlyMap<string, Row>>;
  /** Keys of one statement. */
  readonly most: number;
  /** Nobody waits longer, the read before theirs included. */
  readonly withinMs: number;
  readonly lateError: () => Error;
}

interface Group<Row> {
  readonly keys: Set<string>;
  readonly answer: Promise<ReadonlyMap<string, Row>>;
}

/**
 * Returns a function that reads one row; null when there is none. Every caller gets a read begun after its call, so it
 * sees all that was committed before. Rejects as `readMany` does, or with `lateError()`.
 */
export function joinReads<Row>(options: JoinedRead<Row>): (key: string) => Promise<Row | null> {
  let running: Promise<unknown> = Promise.resolve();
  let collecting: Group<Row> | null = null;

  function begin(): Group<Row> {
    const keys = new Set<string>();
    const answer = running
      .catch(() => undefined)
      .then(() => {
        // From here on the read is under way: whoever comes now belongs to the next one.
        if (collecting?.keys === keys) collecting = null;
        return options.readMany([...keys]);
      });
    const inTime = withTimeout(answer, options.withinMs, options.lateError);
    // Not the read itself: one that hangs would hold up every read after it.
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
