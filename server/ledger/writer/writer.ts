// The writer: every queued change of credits goes through it. Read it from top to bottom to follow one batch:
// submit -> next batch -> locks -> transaction (load, decide, save) -> answers; below that, what may go wrong.
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../database/ports.ts";
import { fullJitterMs } from "../../lib/backoff.ts";
import { isAppError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { SlotSet } from "../../lib/slot-set.ts";
import type { Logger } from "../../lib/logger.ts";
import type { Span, Tracer } from "../../lib/tracer.ts";
import type { Locks } from "../../kv/ports.ts";
import type { Announce } from "../balance-cache.ts";
import type { Verdict } from "../model/operation-effect.ts";
import type { HoldResult, LedgerOperation, OperationResult } from "../ports.ts";
import { loadBatch, saveBatch } from "../store/accounts.store.ts";
import { type BatchClock, createBatchState } from "./batch-state.ts";
import {
  internal,
  isPoisoned,
  toCallerError,
  toTransactionFailed,
  type TransactionFailed,
  unavailable,
} from "./errors.ts";
import { createFairQueue, type FairQueue, type Queued } from "./fair-queue.ts";
import { defaultLimits, type WriterLimits } from "./limits.ts";
import { traceBatch } from "./traced-batch.ts";
import {
  acquireUserLocks,
  createUserLocks,
  pruneWaits,
  canAttempt,
  pauseUntilRetryMs,
  type UserLocks,
} from "./user-locks.ts";

/** Dependencies of the writer. */
export interface WriterDeps extends BatchClock {
  readonly database: Database;
  readonly locks: Locks;
  readonly logger: Logger;
  readonly announce: Announce;
  readonly limits?: Partial<WriterLimits>;
  /** Called for every batch that became durable, for the metrics. */
  readonly onBatch?: (batch: { readonly operations: number; readonly seconds: number }) => void;
  /** Null = nothing is traced. */
  readonly tracer: Tracer | null;
}

/** How often the writer looks for callers who have waited too long. */
const OVERDUE_CHECK_MS = 100;
const RETRY_PAUSE = { firstMs: 2, maxMs: 150 };

interface Item extends Queued {
  readonly operation: LedgerOperation;
  /** Stays the same over all tries: by it the effect of a lost COMMIT is recognised. */
  readonly operationId: string;
  readonly deadlineMs: number;
  /** What it came under. */
  readonly span: Span | undefined;
  readonly answer: (verdict: Verdict) => void;
}

/** One transaction under way, and whose: what else they ask for waits until it has ended. */
interface Batch {
  readonly items: readonly Item[];
  readonly userIds: ReadonlySet<string>;
  readonly startedAtMs: number;
}

interface WriterState {
  readonly deps: WriterDeps;
  readonly limits: WriterLimits;
  readonly queue: FairQueue<Item>;
  readonly userLocks: UserLocks;
  /** Taken from the queue and not answered yet. */
  readonly underWay: SlotSet<Item>;
  /** At most `limits.batches`. */
  running: readonly Batch[];
  arrivals: number;
  /** Null while there is nothing to do. */
  loop: Promise<void> | null;
  /** Wakes the loop when there is something to do. */
  wake: () => void;
  closing: boolean;
}

/** Makes an idle writer: it writes queued operations in batches. */
export function createWriter(deps: WriterDeps) {
  const limits = { ...defaultLimits(deps.database), ...deps.limits };
  const state: WriterState = {
    deps,
    limits,
    queue: createFairQueue<Item>(),
    userLocks: createUserLocks(deps.locks, limits.lockPatienceMs),
    underWay: new SlotSet(),
    running: [],
    arrivals: 0,
    loop: null,
    wake: () => {},
    closing: false,
  };
  return {
    submit: (operation: LedgerOperation) => submit(state, operation),
    /** Operations waiting or under way. */
    get pending(): number {
      return state.queue.size + state.underWay.size;
    },
    close: () => close(state),
  };
}

// 1 · An operation arrives. It joins the queue; the loop starts if it was idle.
function submit(
  state: WriterState,
  operation: LedgerOperation,
): Promise<OperationResult | HoldResult> {
  const { deps, limits, queue, underWay } = state;
  if (state.closing) return Promise.reject(unavailable("The server is stopping."));
  if (queue.size >= limits.queueSize)
    return Promise.reject(unavailable("Too many credit operations are waiting."));
  return new Promise((resolve, reject) => {
    state.arrivals += 1;
    const item: Item = {
      userId: operation.userId,
      arrival: state.arrivals,
      operation,
      operationId: newId(deps.now()),
      deadlineMs: performance.now() + limits.deadlineMs,
      span: deps.tracer?.current(),
      answer(verdict) {
        underWay.delete(item);
        if (verdict.ok) resolve(verdict.result);
        else reject(verdict.error);
      },
    };
    queue.push(item);
    state.loop ??= runLoop(state);
    if (state.running.length < limits.batches && queue.users >= limits.overlapUsers) state.wake();
  });
}

// 2 · While there is work, one batch follows another. What arrives meanwhile forms the next one.
async function runLoop(state: WriterState): Promise<void> {
  const watch = setInterval(() => answerOverdue(state), OVERDUE_CHECK_MS);
  // Callers of the same tick, a tRPC batch for instance, share the first transaction.
  await Promise.resolve();
  while (state.queue.size > 0 || state.running.length > 0) {
    const items = takeNext(state);
    if (items.length > 0) void startBatch(state, items);
    else await waitForChange(state);
  }
  clearInterval(watch);
  // No await between the last look at the queue and this: no caller is missed.
  state.loop = null;
}

/** The next batch, if one may start now. */
function takeNext({ limits, queue, running, userLocks }: WriterState): readonly Item[] {
  const { batches, batchSize, overlapUsers, longBatchMs } = limits;
  if (running.length >= batches) return [];
  const isAlone = running.length === 0;
  const startedBeforeMs = performance.now() - longBatchMs;
  const isHeldUp = running.some(({ startedAtMs }) => startedAtMs < startedBeforeMs);
  return queue.take({
    most: batchSize,
    mayRun: (userId) =>
      canAttempt(userLocks, userId) && !running.some(({ userIds }) => userIds.has(userId)),
    // A transaction costs the same for one operation as for twenty.
    leastUsers: isAlone || isHeldUp ? 1 : overlapUsers,
    // The others can be worked on beside it.
    halveFrom: isAlone && batches > 1 ? 2 * overlapUsers : Number.POSITIVE_INFINITY,
  });
}

/** Until a batch has ended, many are waiting, a lock is worth another try, or what is under way takes long. */
async function waitForChange(state: WriterState): Promise<void> {
  const { limits, userLocks, running } = state;
  const { longBatchMs } = limits;
  const withinMs = Math.min(
    pauseUntilRetryMs(userLocks),
    running.length > 0 ? longBatchMs : Infinity,
  );
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, withinMs);
    state.wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

async function startBatch(state: WriterState, items: readonly Item[]): Promise<void> {
  const userIds = new Set(items.map(({ userId }) => userId));
  const batch: Batch = { items, userIds, startedAtMs: performance.now() };
  state.running = [...state.running, batch];
  try {
    await runBatch(state, batch).catch((error: unknown) => failBatch(state, items, error));
  } finally {
    state.running = state.running.filter((one) => one !== batch);
    state.wake();
  }
}

// 3 · One batch: take the users' locks in one round trip; whoever is locked elsewhere waits for the next batch.
function runBatch(state: WriterState, batch: Batch): Promise<void> {
  const { tracer } = state.deps;
  if (tracer === null) return lockAndCommit(state, batch);
  const spans = batch.items.map(({ span }) => span);
  return traceBatch(tracer, spans, () => lockAndCommit(state, batch));
}

async function lockAndCommit(state: WriterState, { items, userIds }: Batch): Promise<void> {
  const { queue, underWay, userLocks } = state;
  for (const item of items) underWay.add(item);
  const { lease, granted } = await acquireUserLocks(userLocks, userIds);
  // Who was told meanwhile that it took too long is left out: nothing of theirs has happened yet.
  const waiting = items.filter((item) => underWay.has(item));
  const ready = waiting.filter((item) => granted.has(item.userId));
  const locked = waiting.filter((item) => !granted.has(item.userId));
  for (const item of locked) underWay.delete(item);
  queue.putBack(locked);
  if (ready.length > 0) await commit(state, ready);
  // Not awaited: the next acquire travels behind it on the same connection.
  void lease.release();
}

interface Committed {
  readonly verdicts: readonly Verdict[];
  readonly changedUserIds: readonly string[];
}

// 4 · One transaction: lock the user rows, read, decide every operation in memory in order of arrival, write.
async function transact({ deps }: WriterState, items: readonly Item[]): Promise<Committed> {
  let decided = false;
  try {
    return await deps.database.rawTransaction(async (session) => {
      const loaded = await loadBatch(
        session,
        items.map((item) => item.operation),
      );
      const batch = createBatchState(loaded, deps);
      const verdicts = items.map((item) => batch.apply(item.operation, item.operationId));
      if (batch.dirty) await saveBatch(session, batch.writes());
      decided = true;
      return { verdicts, changedUserIds: batch.changedUserIds() };
    });
  } catch (error) {
    throw toTransactionFailed(error, decided);
  }
}

// 5 · Durable: caches are dropped, then the callers are answered, while the loop goes on with the next batch.
async function commit(state: WriterState, items: readonly Item[]): Promise<void> {
  const startedAt = performance.now();
  const committed = await transactWithRetry(state, items);
  if (committed === null) return;
  const seconds = (performance.now() - startedAt) / 1000;
  state.deps.onBatch?.({ operations: items.length, seconds });
  void notifyCallers(state, items, committed);
}

async function notifyCallers(
  { deps }: WriterState,
  items: readonly Item[],
  { verdicts, changedUserIds }: Committed,
): Promise<void> {
  if (changedUserIds.length > 0) await deps.announce(changedUserIds);
  for (const [index, item] of items.entries()) {
    const verdict = verdicts[index];
    const defect = verdict === undefined || (!verdict.ok && !isAppError(verdict.error));
    item.answer(defect ? failOne(deps.logger, item, verdict) : verdict);
  }
}

// What may go wrong. A conflict runs the batch again. So does an unknown outcome: the new transaction waits for the
// row locks of the old one, and then every operation finds its own id under its key, hold or lot, or it does not.
// Anything else is one operation's fault: the halves are tried apart until it stands alone.
async function transactWithRetry(
  state: WriterState,
  items: readonly Item[],
): Promise<Committed | null> {
  const { logger } = state.deps;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transact(state, items);
    } catch (error) {
      const { kind, cause } = error as TransactionFailed;
      const poisoned = isPoisoned(kind);
      if (poisoned && items.length > 1) {
        logger.warn({ err: cause, operations: items.length }, "a batch failed; splitting it");
        const middle = Math.ceil(items.length / 2);
        await commit(state, items.slice(0, middle));
        await commit(state, items.slice(middle));
        return null;
      }
      const late = items.every((item) => performance.now() > item.deadlineMs);
      // A unique key taken by another user's transaction meanwhile is seen by the next try.
      if (attempt >= (poisoned ? 2 : state.limits.attempts) || late) {
        logger.error({ err: cause, kind, attempt }, "credit operations failed");
        for (const item of items) item.answer({ ok: false, error: toCallerError(kind, cause) });
        return null;
      }
      await sleep(fullJitterMs(attempt, RETRY_PAUSE));
    }
  }
}

/** A defect in the rules fails its own operation; the others of the batch are durable. */
function failOne(logger: Logger, item: Item, verdict: Verdict | undefined): Verdict {
  const cause = verdict?.ok === false ? verdict.error : undefined;
  logger.error({ err: cause, kind: item.operation.kind }, "a credit operation failed");
  return { ok: false, error: internal(cause) };
}

/** A defect of the writer itself: its callers are told, and the loop goes on. */
function failBatch({ deps, underWay }: WriterState, items: readonly Item[], cause: unknown): void {
  deps.logger.error({ err: cause }, "batch failed: defect in the writer");
  for (const item of items)
    if (underWay.has(item)) item.answer({ ok: false, error: internal(cause) });
}

/** Nobody waits past the deadline: not in the queue, and not for a database that does not answer. */
function answerOverdue({ queue, underWay, userLocks }: WriterState): void {
  const nowMs = performance.now();
  const overdue = queue.remove((item) => item.deadlineMs <= nowMs);
  for (const item of underWay) if (item.deadlineMs <= nowMs) overdue.push(item);
  for (const item of overdue) item.answer({ ok: false, error: unavailable("This took too long.") });
  pruneWaits(userLocks, nowMs);
}

/** Refuses new operations and finishes those that are queued. */
async function close(state: WriterState): Promise<void> {
  state.closing = true;
  while (state.loop !== null || state.underWay.size > 0) {
    await state.loop;
    if (state.underWay.size > 0) await sleep(5);
  }
}
