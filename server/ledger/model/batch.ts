// One batch as the store reads and writes it: what the decisions depend on, and what they came to.
import type { Account, Entry, Hold, Lot, StoredKey, UsageRow } from "./account.ts";

/** Everything a batch needs to decide, read under the users' row locks. */
export interface LoadedBatch {
  readonly accounts: ReadonlyMap<string, Account>;
  /** By `userId key` (ids hold no spaces). */
  readonly keys: ReadonlyMap<string, StoredKey>;
  readonly grants: ReadonlyMap<string, Lot>;
}

/** The rows a batch adds and changes. */
export interface BatchWrites {
  readonly accounts: readonly Account[];
  readonly newLots: readonly Lot[];
  readonly changedLots: readonly Lot[];
  readonly newHolds: readonly Hold[];
  readonly changedHolds: readonly Hold[];
  readonly entries: readonly Entry[];
  readonly usage: readonly UsageRow[];
  readonly newKeys: readonly StoredKey[];
}
