// The bounds of the writer.
import type { Database } from "../../database/ports.ts";

const DEFAULT_LIMITS = {
  /** Operations in one transaction. */
  batchSize: 256,
  /** Batches under way at once, of different users: while the database works on one, this process does on another. */
  batches: 2,
  /** Users that must be able to run for a batch to start beside another; fewer share the one after it. */
  overlapUsers: 16,
  /** A batch that takes longer than this holds nobody else up: the next one starts beside it for whoever waits. */
  longBatchMs: 25,
  /** Operations waiting; one more is refused. */
  queueSize: 20_000,
  /**
   * How long a caller waits for an answer. Leaves a second of the three within which a request is answered to what came
   * before: the session, a reconnect.
   */
  deadlineMs: 2_000,
  /** How long a user's Redis lock is waited for before the row lock alone has to do. */
  lockPatienceMs: 12,
  /** Tries of one transaction. */
  attempts: 8,
};

/** How much at once, and for how long. */
export type WriterLimits = Readonly<typeof DEFAULT_LIMITS>;

/** The bounds on this database. */
export function defaultLimits({ rawTransactionsAtOnce }: Database): WriterLimits {
  return { ...DEFAULT_LIMITS, batches: Math.min(DEFAULT_LIMITS.batches, rawTransactionsAtOnce) };
}
