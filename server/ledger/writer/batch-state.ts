// One batch in memory: the loaded accounts, the operations decided on them in order, and the rows to write.
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

/** The clock by which batches are decided. */
export interface BatchClock {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /**
   * How far `now` may differ from the database's clock. A clock further off is wrong, and the database's counts: one
   * ahead would expire every user's credits, and holds made by one behind would have ended for everybody else. Defaults
   * to no limit, because tests use their own clocks.
   */
  readonly maxSkewMs?: number;
}

/** Starts a batch over the loaded rows, decided as of now. Each operation sees the effects of those before it. */
export function createBatchState(
  loaded: LoadedBatch,
  { now, maxSkewMs = Number.POSITIVE_INFINITY }: BatchClock,
) {
  const ownMs = now();
  const readAtMs = loaded.readAtMs ?? ownMs;
  const nowMs = Math.abs(ownMs - readAtMs) > maxSkewMs ? readAtMs : ownMs;
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
    /** Decides one operation. Never throws: a bug in one must not bring down the batch. */
    apply: (operation: LedgerOperation, operationId: string) =>
      apply(state, operation, operationId),
    /** Whether there is anything to write. */
    get dirty(): boolean {
      return state.newKeys.length > 0 || changedAccounts(state).length > 0;
    },
    writes: () => collectWrites(state),
    /** Credits taken because they expired, by whatever operation came first after that. */
    expiredCredits: () =>
      state.entries.reduce((sum, { type, amount }) => (type === "EXPIRY" ? sum - amount : sum), 0),
    /**
     * Users whose account changed, plus those whose operation was a replay: the process that applied it may have
     * died before publishing the change (or this batch's own COMMIT went unanswered), so a stale balance may still be
     * cached.
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
    // A replay. Expiries do not count: readers request one whenever something may be due, so one that finds nothing
    // proves nothing.
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

/** Whether all entries before this batch are in the totals. If some are missing, a job adds the new ones as well. */
function isRolledUp({ loaded }: State, userId: string): boolean {
  const before = loaded.accounts.get(userId);
  return before !== undefined && before.rolledSeq === before.seq;
}

/** Returns one movement per entry type. */
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

/** Collects the rows of `after` that are new, and those that are no longer the object that was loaded. */
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
