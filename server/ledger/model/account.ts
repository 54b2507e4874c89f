// The shapes the rules work on: one user's account in memory, and the rows a decision adds.
import type { EntryType, HoldState } from "../../../shared/src/credit.ts";
import type { UsageFacts } from "../ports.ts";

/** So many credits of one lot. Written to the database as `[[lotId, credits], …]`. */
export type LotShare = readonly [lotId: string, credits: number];

/** Credits that came in together. Immutable: a change makes a new object, which is how the store knows what to write. */
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

/** All the rules need to know of one user. Immutable, like Lot. */
export interface Account {
  readonly userId: string;
  readonly credits: number;
  readonly held: number;
  readonly seq: number;
  /** Entries up to this one are in the totals: all of them, but for an account that an older release wrote to. */
  readonly rolledSeq: number;
  readonly counts: EntryCounts;
  /** A deleted user may still be granted to and taken from (money records), but spends nothing. */
  readonly deleted: boolean;
  /** A disabled user spends nothing either. */
  readonly disabled: boolean;
  /** Open lots in spend order, and those that were emptied since the account was loaded. */
  readonly lots: readonly Lot[];
  /** ACTIVE holds, those the operations at hand name, and those that ended since. */
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

/** A row of idempotency_keys, its answer still as text. */
export interface StoredKey {
  readonly userId: string;
  readonly key: string;
  readonly inputHash: string;
  readonly answer: string;
  readonly createdAtMs: number;
}

/** Balances and entries are 32-bit columns; nothing may come near their end. */
export const MAX_BALANCE_CREDITS = 2_000_000_000;

/** What may be spent or held now. */
export function availableCredits(account: Account): number {
  return account.credits - account.held;
}

/** What an entry says, before it has its place in the history. */
export type EntryDraft = Omit<Entry, "userId" | "seq" | "balance">;

/** The account after `draft` is appended to its history, and the finished entry. */
export function append(account: Account, draft: EntryDraft): { account: Account; entry: Entry } {
  const seq = account.seq + 1;
  const balance = account.credits + draft.amount;
  const counts = { ...account.counts, [draft.type]: (account.counts[draft.type] ?? 0) + 1 };
  return {
    account: { ...account, credits: balance, seq, counts },
    entry: { ...draft, userId: account.userId, seq, balance },
  };
}
