// What an operation is told beside the account, and what it returns. Pure data.
import type { AppError } from "../../lib/errors.ts";
import type { HoldResult, LedgerOperation, OperationResult } from "../ports.ts";
import type { Account, Entry, EntryDraft, Lot, LotShare, StoredKey, UsageRow } from "./account.ts";

/** What an operation may look at beside the account. */
export interface OperationContext {
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

/** One kind of operation. Throws an AppError to refuse it; anything else thrown is a defect. */
export type OperationHandler<Kind extends LedgerOperation["kind"]> = (
  account: Account,
  operation: Extract<LedgerOperation, { kind: Kind }>,
  context: OperationContext,
) => Effect;

/** What a decided operation answers: its result, the caller's refusal, or the defect it tripped over. */
export type Verdict<Failure extends Error = Error> =
  | { readonly ok: true; readonly result: OperationResult | HoldResult }
  | { readonly ok: false; readonly error: Failure };

/** What came of one operation. A refusal may still have expired holds and lots. */
export interface Decision {
  readonly account: Account;
  readonly entries: readonly Entry[];
  readonly usage: UsageRow | null;
  readonly key: StoredKey | null;
  readonly outcome: Verdict<AppError>;
}

/** An entry of the operation at hand, its other fields still empty. */
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
