// The types the rules work on: one user's account in memory, and the rows a decision adds.
import type { EntryType, HoldState } from "../../../shared/src/credit.ts";
import type { UsageFacts } from "../ports.ts";

/** A number of credits from one lot. Stored in the database as `[[lotId, credits], …]`. */
export type LotShare = readonly [lotId: string, credits: number];

/** Credits granted together. Immutable: a change creates a new object, which is how the store knows what to write. */
export interface Lot {
  readonly id: string;
  readonly userId: string;
  readonly amount: number;
  readonly remaining: number;
  readonly source: string;
  readonly sourceId: string | null;
  readonly grantKey: string;
  readonly expiresAtMs: number | null;
  readonly createdAtMs: number;
}

/** Credits set aside. Immutable, like Lot. */
export interface Hold {
  readonly id: string;
  readonly userId: string;
  readonly amount: number;
  readonly status: HoldState;
  readonly settledAmount: number | null;
  readonly feature: string | null;
  readonly priceVersion: string | null;
  readonly idempotencyKey: string | null;
  readonly transactionId: string | null;
  readonly lots: readonly LotShare[];
  readonly endedBy: string | null;
  readonly expiresAtMs: number;
  readonly createdAtMs: number;
  readonly endedAtMs: number | null;
}

/** How many entries of each type a user has. */
export type EntryCounts = Readonly<Partial<Record<EntryType, number>>>;

/** Everything the rules need to know about one user. Immutable, like Lot. */
export interface Account {
  readonly userId: string;
  readonly credits: number;
  readonly held: number;
  readonly seq: number;
  /** Entries up to this seq are in the totals. Less than `seq` only if an older release wrote to the account. */
  readonly rolledSeq: number;
  readonly counts: EntryCounts;
  /** A deleted user can still receive grants and take-backs, because they record money that moved, but cannot spend. */
  readonly deleted: boolean;
  /** A disabled user cannot spend either. */
  readonly disabled: boolean;
  /** Open lots in spend order, including those emptied since the account was loaded. */
  readonly lots: readonly Lot[];
  /** ACTIVE holds, holds named by the batch's operations, and holds that ended since the account was loaded. */
  readonly holds: readonly Hold[];
}

/** A row of credit_logs. */
export interface Entry {
  readonly id: string;
  readonly userId: string;
  readonly seq: number;
  readonly amount: number;
  readonly balance: number;
  readonly type: EntryType;
  readonly feature: string | null;
  readonly description: string | null;
  readonly lots: readonly LotShare[];
  readonly priceVersion: string | null;
  readonly sourceId: string | null;
  readonly metadata: string | null;
  readonly createdAtMs: number;
}

/** A row of usage_logs. */
export interface UsageRow extends UsageFacts {
  readonly id: string;
  readonly userId: string;
  readonly feature: string;
  readonly credits: number;
  readonly createdAtMs: number;
}

/** A row of idempotency_keys, with its answer still as JSON text. */
export interface StoredKey {
  readonly userId: string;
  readonly key: string;
  readonly inputHash: string;
  readonly answer: string;
  readonly createdAtMs: number;
}

/** Balances and entries are 32-bit columns; no value may come near their limit. */
export const MAX_BALANCE_CREDITS = 2_000_000_000;

/** Returns the credits that may be spent or held now. */
export function availableCredits(account: Account): number {
  return account.credits - account.held;
}

/** An entry before it is placed in a user's history. */
export type EntryDraft = Omit<Entry, "userId" | "seq" | "balance">;

/** Appends `draft` to the account's history. Returns the new account and the finished entry. */
export function append(account: Account, draft: EntryDraft): { account: Account; entry: Entry } {
  const seq = account.seq + 1;
  const balance = account.credits + draft.amount;
  const counts = { ...account.counts, [draft.type]: (account.counts[draft.type] ?? 0) + 1 };
  return {
    account: { ...account, credits: balance, seq, counts },
    entry: { ...draft, userId: account.userId, seq, balance },
  };
}
