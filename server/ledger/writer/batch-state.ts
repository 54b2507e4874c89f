// One batch in memory: the accounts as loaded, every operation decided on them in order, what has to be written.
import type { EntryType } from "../../../shared/src/credit.ts";
import { notFound } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Account, Entry, Hold, Lot, StoredKey, UsageRow } from "../model/account.ts";
import type { BatchWrites, LoadedBatch, Movement } from "../model/batch.ts";
import type { Decision, Verdict } from "../model/operation-effect.ts";
import { decide } from "../operations/decide.ts";
import type { LedgerOperation } from "../ports.ts";

interface State {
  readonly loaded: LoadedBatch;
  readonly nowMs: number;
  readonly accounts: Map<string, Account>;
  readonly keys: Map<string, StoredKey>;
  readonly grants: Map<string, Lot>;
  readonly entries: Entry[];
  readonly usage: UsageRow[];
  readonly newKeys: StoredKey[];
  readonly replayedUserIds: Set<string>;
}

/** The clock that batches are decided by. */
export interface BatchClock {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /**
   * How far `now` may be ahead of the database's clock, which stands in for it beyond that: a machine whose clock is wrong
   * must not take everybody's credits as expired. Defaults to any: tests bring clocks of their own.
   */
  readonly maxAheadMs?: number;
}

/** A batch over what was loaded, decided now. Operations see the effects of those before them. */
export function createBatchState(
  loaded: LoadedBatch,
  { now, maxAheadMs = Number.POSITIVE_INFINITY }: BatchClock,
) {
  const nowMs = Math.min(now(), loaded.readAtMs + maxAheadMs);
  const state: State = {
    loaded,
    nowMs,
    accounts: new Map(loaded.accounts),
    keys: new Map(loaded.keys),
    grants: new Map(loaded.grants),
    entries: [],
    usage: [],
    newKeys: [],
    replayedUserIds: new Set(),
  };
  return {
    /** Decides one operation. Never throws: a defect in one must not take the batch down. */
    apply: (operation: LedgerOperation, operationId: string) =>
      apply(state, operation, operationId),
    /** Whether there is anything to write. */
    get dirty(): boolean {
      return state.newKeys.length > 0 || changedAccounts(state).length > 0;
    },
    writes: () => collectWrites(state),
    /**
     * Users whose position changed, and those whose change was made before: whoever made it may have died before telling
     * anybody, or be this very batch whose COMMIT was not answered, so that an older balance is still cached.
     */
    changedUserIds: () => [
      ...new Set([
        ...changedAccounts(state).map((account) => account.userId),
        ...state.replayedUserIds,
      ]),
    ],
  };
}

function apply(state: State, operation: LedgerOperation, operationId: string): Verdict {
  const { accounts, keys, grants, nowMs } = state;
  const account = accounts.get(operation.userId);
  if (account === undefined) return { ok: false, error: notFound("user") };
  try {
    const storedKey =
      "idempotencyKey" in operation
        ? keys.get(`${operation.userId} ${operation.idempotencyKey}`)
        : undefined;
    const decision = decide(account, operation, {
      operationId,
      nowMs,
      newId: () => newId(nowMs),
      storedKey,
      storedGrant: operation.kind === "grant" ? grants.get(operation.grantKey) : undefined,
    });
    record(state, decision);
    // Done before. An expiry that finds nothing is no answer to that: readers ask for one whenever something is due.
    const isExpiry = operation.kind === "expireLots" || operation.kind === "expireHolds";
    if (decision.outcome.ok && decision.account === account && !isExpiry)
      state.replayedUserIds.add(operation.userId);
    if (operation.kind === "grant") {
      const made = decision.account.lots.find((lot) => lot.id === operationId);
      if (made !== undefined) grants.set(made.grantKey, made);
    }
    return decision.outcome;
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function record(state: State, decision: Decision): void {
  const { account, entries, usage, key } = decision;
  state.accounts.set(account.userId, account);
  state.entries.push(...entries);
  if (usage !== null) state.usage.push(usage);
  if (key !== null) {
    state.keys.set(`${key.userId} ${key.key}`, key);
    state.newKeys.push(key);
  }
}

function changedAccounts({ accounts, loaded }: State): Account[] {
  return [...accounts.values()].filter(
    (account) => account !== loaded.accounts.get(account.userId),
  );
}

function collectWrites(state: State): BatchWrites {
  const newLots: Lot[] = [];
  const changedLots: Lot[] = [];
  const newHolds: Hold[] = [];
  const changedHolds: Hold[] = [];
  const accounts = changedAccounts(state);
  for (const account of accounts) {
    const before = state.loaded.accounts.get(account.userId);
    addDifference(before?.lots ?? [], account.lots, newLots, changedLots);
    addDifference(before?.holds ?? [], account.holds, newHolds, changedHolds);
  }
  const { entries, usage, newKeys } = state;
  return {
    accounts: accounts.map((account) =>
      isRolledUp(state, account.userId) ? { ...account, rolledSeq: account.seq } : account,
    ),
    newLots,
    changedLots,
    newHolds,
    changedHolds,
    entries,
    movements: sumMovements(state),
    usage,
    newKeys,
  };
}

/** Whether all entries before this batch are in the totals; where some are missing, a job adds the new ones, too. */
function isRolledUp({ loaded }: State, userId: string): boolean {
  const before = loaded.accounts.get(userId);
  return before !== undefined && before.rolledSeq === before.seq;
}

/** One movement for each type of entry. */
function sumMovements(state: State): Movement[] {
  const { entries, nowMs } = state;
  const byType = new Map<EntryType, { given: number; taken: number }>();
  for (const { userId, type, amount } of entries) {
    if (!isRolledUp(state, userId)) continue;
    const sum = byType.get(type) ?? { given: 0, taken: 0 };
    if (amount > 0) sum.given += amount;
    else sum.taken -= amount;
    byType.set(type, sum);
  }
  return [...byType].map(([type, sum]) => ({ id: newId(nowMs), type, ...sum, createdAtMs: nowMs }));
}

/** The rows of `after` that are new, and those that are not the object that was loaded. */
function addDifference<Row extends { id: string }>(
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
