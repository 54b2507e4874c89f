// What an operation receives besides the account, and what it returns. Pure data.
import type { AppError } from "../../lib/errors.ts";
import type { HoldResult, LedgerOperation, OperationResult } from "../ports.ts";
import type { Account, Entry, EntryDraft, Lot, LotShare, StoredKey, UsageRow } from "./account.ts";

/** What an operation receives besides the account. */
export interface OperationContext {
  /** This operation's id, which becomes that of its entry, lot or hold, so that a retry recognises its own effect. */
  readonly operationId: string;
  readonly nowMs: number;
  readonly newId: () => string;
  /** The row stored under the operation's idempotency key. */
  readonly storedKey: StoredKey | undefined;
  /** The lot that already has the operation's grantKey, whichever user owns it. */
  readonly storedGrant: Lot | undefined;
}

/** The effect of an operation that was not refused. */
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

/** Handles one kind of operation. Throws an AppError to refuse it; anything else it throws is a bug. */
export type OperationHandler<Kind extends LedgerOperation["kind"]> = (
  account: Account,
  operation: Extract<LedgerOperation, { kind: Kind }>,
  context: OperationContext,
) => Effect;

/** The outcome of a decided operation: its result, a refusal for the caller, or the bug it ran into. */
export type Verdict<Failure extends Error = Error> =
  | { readonly ok: true; readonly result: OperationResult | HoldResult }
  | { readonly ok: false; readonly error: Failure };

/** The decision on one operation. Even a refusal may have expired holds and lots. */
export interface Decision {
  readonly account: Account;
  readonly entries: readonly Entry[];
  readonly usage: UsageRow | null;
  readonly key: StoredKey | null;
  readonly outcome: Verdict<AppError>;
}

/** Returns a draft entry of the operation, its other fields still empty. */
export function draftEntry(
  { operationId, nowMs }: Pick<OperationContext, "operationId" | "nowMs">,
  amount: number,
  lots: readonly LotShare[],
): Omit<EntryDraft, "type"> {
  return {
    id: operationId,
    amount,
    feature: null,
    description: null,
    lots,
    priceVersion: null,
    sourceId: null,
    metadata: null,
    createdAtMs: nowMs,
  };
}
