// Owns what a rule is told beside the account, and what it answers.
import type { Account, Entry, EntryDraft, Lot, LotShare, StoredKey, UsageRow } from "./account.ts";

/** What a decision may look at beside the account. */
export interface Facts {
  /** This operation's id: becomes the id of the entry, lot or hold it makes, and so tells its own effect again. */
  readonly operationId: string;
  readonly nowMs: number;
  readonly newId: () => string;
  /** What is stored under the operation's idempotency key. */
  readonly storedKey: StoredKey | undefined;
  /** The lot that already has the operation's grantKey, whoever owns it. */
  readonly storedGrant: Lot | undefined;
}

/** What an operation that is not refused does. */
export interface Effect {
  readonly account: Account;
  readonly entries?: readonly Entry[];
  readonly usage?: UsageRow;
  readonly amountCredits: number;
  readonly transactionId: string | null;
  readonly priceVersion?: string | null;
  readonly replayed?: boolean;
  readonly hold?: { readonly holdId: string; readonly expiresAt: Date };
}

/** An entry of the operation at hand, its other fields still empty. */
export function draft(
  facts: Facts,
  amount: number,
  lots: readonly LotShare[],
): Omit<EntryDraft, "type"> {
  return {
    id: facts.operationId,
    amount,
    feature: null,
    description: null,
    lots,
    priceVersion: null,
    sourceId: null,
    metadata: null,
    createdAtMs: facts.nowMs,
  };
}
