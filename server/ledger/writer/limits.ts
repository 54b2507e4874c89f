// The writer's limits.
import type { Database } from "../../database/ports.ts";

const DEFAULT_LIMITS = {
  /** Operations in one transaction. */
  batchSize: 256,
  /** Batches in flight, of disjoint users: while the database works on one, this process works on another. */
  batches: 2,
  /** How many users must be ready for a batch to start beside another; fewer wait and share the next one. */
  overlapUsers: 16,
  /** Once a batch has run this long, the next one starts beside it, however few users are waiting. */
  longBatchMs: 25,
  /** Maximum number of queued operations; further ones are refused. */
  queueSize: 20_000,
  /**
   * How long a caller waits for a result. A request must be answered within three seconds; this leaves one for what
   * comes first: reading the session, reconnecting.
   */
  deadlineMs: 2_000,
  /** How long to wait for a user's Redis lock before relying on the row lock alone. */
  lockPatienceMs: 12,
  /** Maximum attempts at one transaction. */
  attempts: 8,
};

/** Batch and queue sizes, and time limits. */
export type WriterLimits = Readonly<typeof DEFAULT_LIMITS>;

/** Returns the limits for this database. */
export function defaultLimits({ maxConcurrentRawTransactions }: Database): WriterLimits {
  return {
    ...DEFAULT_LIMITS,
    batches: Math.min(DEFAULT_LIMITS.batches, maxConcurrentRawTransactions),
  };
}
