// One batch as the store reads and writes it: what the decisions depend on, and the rows they produce.
import type { EntryType } from "../../../shared/src/credit.ts";
import type { Account, Entry, Hold, Lot, StoredKey, UsageRow } from "./account.ts";

/** Everything a batch's decisions need, read under the users' row locks. */
export interface LoadedBatch {
  readonly accounts: ReadonlyMap<string, Account>;
  /** By `<userId> <key>` (ids contain no spaces). */
  readonly keys: ReadonlyMap<string, StoredKey>;
  readonly grants: ReadonlyMap<string, Lot>;
  /** Users whose rows other transactions hold: they exist, and nothing may be decided about them. */
  readonly heldElsewhere: ReadonlySet<string>;
  /** When it was read, by the database's clock; null if no user was found. */
  readonly readAtMs: number | null;
}

/** A row of credit_movements: the sums of a batch's entries of one type. */
export interface Movement {
  readonly id: string;
  readonly type: EntryType;
  /** Sum of the amounts above zero. */
  readonly given: number;
  /** Sum of the amounts below zero, as a positive number. */
  readonly taken: number;
  readonly createdAtMs: number;
}

/** The rows a batch adds and changes. */
export interface BatchWrites {
  readonly accounts: readonly Account[];
  readonly newLots: readonly Lot[];
  readonly changedLots: readonly Lot[];
  readonly newHolds: readonly Hold[];
  readonly changedHolds: readonly Hold[];
  readonly entries: readonly Entry[];
  readonly movements: readonly Movement[];
  readonly usage: readonly UsageRow[];
  readonly newKeys: readonly StoredKey[];
}
