// The bounds of the writer.
import type { Database } from "../../database/ports.ts";

/** How much at once, and for how long. */
export interface WriterLimits {
  /** Operations in one transaction. */
  readonly batchSize: number;
  /** Batches under way at once, of different users: while the database works on one, this process does on another. */
  readonly batches: number;
  /** Users that must be able to run for a batch to start beside another; fewer share the one after it. */
  readonly overlapUsers: number;
  /** A batch that takes longer than this holds nobody else up: the next one starts beside it for whoever waits. */
  readonly longBatchMs: number;
  /** Operations waiting; one more is refused. */
  readonly queueSize: number;
  /** How long a caller waits for an answer. */
  readonly deadlineMs: number;
  /** How long a user's Redis lock is waited for before the row lock alone has to do. */
  readonly lockPatienceMs: number;
  /** Tries of one transaction. */
  readonly attempts: number;
}

const DEFAULT_LIMITS: WriterLimits = {
  batchSize: 256,
  batches: 2,
  overlapUsers: 16,
  longBatchMs: 25,
  queueSize: 20_000,
  // Leaves a second of the three within which a request is answered to what came before: the session, a reconnect.
  deadlineMs: 2_000,
  lockPatienceMs: 12,
  attempts: 8,
};

/** The bounds on this database. */
export function defaultLimits({ rawTransactionsAtOnce }: Database): WriterLimits {
  return { ...DEFAULT_LIMITS, batches: Math.min(DEFAULT_LIMITS.batches, rawTransactionsAtOnce) };
}
