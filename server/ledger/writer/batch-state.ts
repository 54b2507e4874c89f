// Owns one batch in memory: the accounts as loaded, every operation decided on them in order, what has to be written.
import { AppError } from "../../lib/errors.ts";
import type { Account, Entry, Hold, Lot, StoredKey, UsageRow } from "../model/account.ts";
import { newId } from "../../lib/ids.ts";
import type { HoldResult, LedgerOperation, OperationResult } from "../ports.ts";
import { decide } from "../operations/decide.ts";
import type { Loaded } from "../store/accounts.store.ts";

/** What a decided operation answers: its result, the caller's refusal, or the defect it tripped over. */
export type Verdict =
  | { readonly ok: true; readonly result: OperationResult | HoldResult }
  | { readonly ok: false; readonly error: Error };

/** What the store has to write beside entries, usage and keys. */
export interface Changes {
  readonly accounts: readonly Account[];
  readonly newLots: readonly Lot[];
  readonly changedLots: readonly Lot[];
  readonly newHolds: readonly Hold[];
  readonly changedHolds: readonly Hold[];
}

/** One batch. Operations see the effects of those before them. */
export interface Sheet {
  readonly entries: readonly Entry[];
  readonly usage: readonly UsageRow[];
  readonly newKeys: readonly StoredKey[];
  /** Decides one operation. Never throws: a defect in one must not take the batch down. */
  apply(operation: LedgerOperation, operationId: string): Verdict;
  /** Whether there is anything to write. */
  readonly dirty: boolean;
  changes(): Changes;
  /**
   * Users whose position changed, and those who are answered again: whoever made that change may have died before
   * telling anybody, so that an older balance is still cached.
   */
  changedUserIds(): string[];
}

/** A sheet over what `load` read, at the moment `nowMs`. */
export function createSheet(loaded: Loaded, nowMs: number): Sheet {
  const accounts = new Map(loaded.accounts);
  const keys = new Map(loaded.keys);
  const grants = new Map(loaded.grants);
  const entries: Entry[] = [];
  const usage: UsageRow[] = [];
  const newKeys: StoredKey[] = [];
  const answeredAgain = new Set<string>();

  function apply(operation: LedgerOperation, operationId: string): Verdict {
    const account = accounts.get(operation.userId);
    if (account === undefined)
      return { ok: false, error: AppError.of("NOT_FOUND", "There is no such user.") };
    try {
      const storedKey =
        "idempotencyKey" in operation
          ? keys.get(`${operation.userId} ${operation.idempotencyKey}`)
          : undefined;
      if (storedKey !== undefined) answeredAgain.add(operation.userId);
      const decision = decide(account, operation, {
        operationId,
        nowMs,
        newId: () => newId(nowMs),
        storedKey,
        storedGrant: operation.kind === "grant" ? grants.get(operation.grantKey) : undefined,
      });
      accounts.set(operation.userId, decision.account);
      entries.push(...decision.entries);
      if (decision.usage !== null) usage.push(decision.usage);
      if (decision.key !== null) {
        keys.set(`${decision.key.userId} ${decision.key.key}`, decision.key);
        newKeys.push(decision.key);
      }
      if (operation.kind === "grant") {
        const made = decision.account.lots.find((lot) => lot.id === operationId);
        if (made !== undefined) grants.set(made.grantKey, made);
      }
      return decision.outcome;
    } catch (error) {
      return { ok: false, error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  /** The rows of `after` that are new, and those that are not the object that was loaded. */
  function difference<Row extends { id: string }>(
    before: readonly Row[],
    after: readonly Row[],
    added: Row[],
    changed: Row[],
  ): void {
    if (before === after) return;
    const known = new Map(before.map((row) => [row.id, row]));
    for (const row of after) {
      const old = known.get(row.id);
      if (old === undefined) added.push(row);
      else if (old !== row) changed.push(row);
    }
  }

  function changedAccounts(): Account[] {
    return [...accounts.values()].filter((account) => {
      return account !== loaded.accounts.get(account.userId);
    });
  }

  return {
    entries,
    usage,
    newKeys,
    apply,
    get dirty() {
      return newKeys.length > 0 || changedAccounts().length > 0;
    },
    changes() {
      const changed = changedAccounts();
      const changes = {
        accounts: changed,
        newLots: [] as Lot[],
        changedLots: [] as Lot[],
        newHolds: [] as Hold[],
        changedHolds: [] as Hold[],
      };
      for (const account of changed) {
        const before = loaded.accounts.get(account.userId);
        difference(before?.lots ?? [], account.lots, changes.newLots, changes.changedLots);
        difference(before?.holds ?? [], account.holds, changes.newHolds, changes.changedHolds);
      }
      return changes;
    },
    changedUserIds: () => [
      ...new Set([...changedAccounts().map((account) => account.userId), ...answeredAgain]),
    ],
  };
}
