// The writer: every queued change of credits goes through it. Read from top to bottom to follow one batch:
// submit -> next batch -> locks -> transaction (load, decide, save) -> results; error handling comes last.
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
import type { BatchClock } from "./batch-state.ts";
import {
  internal,
  isPoisoned,
  refused,
  toCallerError,
  type TransactionFailed,
  unavailable,
} from "./errors.ts";
import { createFairQueue, type FairQueue, type Queued } from "./fair-queue.ts";
import { defaultLimits, type WriterLimits } from "./limits.ts";
import { traceBatch } from "./traced-batch.ts";
import { type Committed, transact } from "./transact.ts";
import {
  acquireUserLocks,
  createUserLocks,
  pruneWaits,
  canAttempt,
  noteRowWaits,
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
  /** Called after each committed batch, for the metrics. */
  readonly onBatch?: (batch: { readonly operations: number; readonly seconds: number }) => void;
  /** Called after each committed batch with the credits it took because they had expired, for the metrics. */
  readonly onExpired?: (credits: number) => void;
  /** Null disables tracing. */
  readonly tracer: Tracer | null;
}

/** How often the writer checks for callers past their deadline. */
const OVERDUE_CHECK_MS = 100;
const RETRY_PAUSE = { firstMs: 2, maxMs: 150 };

interface Item extends Queued {
  readonly operation: LedgerOperation;
  /** The same on every attempt, so that a retry recognises its own effect when the answer to COMMIT was lost. */
  readonly operationId: string;
  readonly deadlineMs: number;
  /** The span that was active when the operation was submitted. */
  readonly span: Span | undefined;
  /** Whether a COMMIT that was not answered may have applied it. */
  mayBeApplied: boolean;
  readonly answer: (verdict: Verdict) => void;
}

/** A batch in flight and its users, whose further operations wait until it has ended. */
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
  /** Taken from the queue and not settled yet. */
  readonly inFlight: SlotSet<Item>;
  /** At most `limits.batches`. */
  running: readonly Batch[];
  arrivals: number;
  /** Null while there is nothing to do. */
  loop: Promise<void> | null;
  /** Wakes the loop when there is something to do. */
  wake: () => void;
  closing: boolean;
}

/** Creates the writer, idle at first, which applies queued operations in batches. */
export function createWriter(deps: WriterDeps) {
  const limits = { ...defaultLimits(deps.database), ...deps.limits };
  const state: WriterState = {
    deps,
    limits,
    queue: createFairQueue<Item>(),
    userLocks: createUserLocks(deps.locks, limits.lockPatienceMs),
    inFlight: new SlotSet(),
    running: [],
    arrivals: 0,
    loop: null,
    wake: () => {},
    closing: false,
  };
  return {
    submit: (operation: LedgerOperation) => submit(state, operation),
    /** Operations queued or in flight. */
    get pending(): number {
      return state.queue.size + state.inFlight.size;
    },
    close: () => close(state),
  };
}

// 1 · An operation arrives and joins the queue. The loop starts if it was idle.
function submit(
  state: WriterState,
  operation: LedgerOperation,
): Promise<OperationResult | HoldResult> {
  const { deps, limits, queue, inFlight } = state;
  if (state.closing) return Promise.reject(refused("The server is stopping."));
  if (queue.size >= limits.queueSize)
    return Promise.reject(refused("Too many credit operations are waiting."));
  return new Promise((resolve, reject) => {
    state.arrivals += 1;
    const item: Item = {
      userId: operation.userId,
      arrival: state.arrivals,
      operation,
      operationId: newId(deps.now()),
      deadlineMs: performance.now() + limits.deadlineMs,
      span: deps.tracer?.current(),
      mayBeApplied: false,
      answer(verdict) {
        inFlight.delete(item);
        if (item.mayBeApplied && !verdict.ok) void deps.announce([item.userId]);
        if (verdict.ok) resolve(verdict.result);
        else reject(verdict.error);
      },
    };
    queue.push(item);
    state.loop ??= runLoop(state);
    if (state.running.length < limits.batches && queue.users >= limits.overlapUsers) state.wake();
  });
}

// 2 · While there is work, batch follows batch. Operations that arrive meanwhile form the next one.
async function runLoop(state: WriterState): Promise<void> {
  const watch = setInterval(() => rejectOverdue(state), OVERDUE_CHECK_MS);
  // Operations submitted in the same tick, by a tRPC batch for instance, share the first transaction.
  await Promise.resolve();
  while (state.queue.size > 0 || state.running.length > 0) {
    const items = takeNext(state);
    if (items.length > 0) void startBatch(state, items);
    else await waitForChange(state);
  }
  clearInterval(watch);
  // There is no await between the last check of the queue and this line, so no caller is missed.
  state.loop = null;
}

/** Returns the next batch, empty if none may start now. */
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
    // Not worth it for a few users: a transaction costs the same for one operation as for twenty.
    minUsers: isAlone || isHeldUp ? 1 : overlapUsers,
    // The other half can run in a second batch beside this one.
    halveAbove: isAlone && batches > 1 ? 2 * overlapUsers : Number.POSITIVE_INFINITY,
  });
}

/** Resolves when a batch ends, enough users are waiting, a lock is due for a retry, or a running batch takes long. */
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

const usersOf = (items: readonly Item[]) => new Set(items.map(({ userId }) => userId));

async function startBatch(state: WriterState, items: readonly Item[]): Promise<void> {
  const batch: Batch = { items, userIds: usersOf(items), startedAtMs: performance.now() };
  state.running = [...state.running, batch];
  try {
    await runBatch(state, batch).catch((error: unknown) => failBatch(state, items, error));
  } finally {
    state.running = state.running.filter((one) => one !== batch);
    state.wake();
  }
}

// 3 · One batch: take the users' locks in one round trip. Users locked by another instance wait for a later batch.
function runBatch(state: WriterState, batch: Batch): Promise<void> {
  const { tracer } = state.deps;
  if (tracer === null) return lockAndCommit(state, batch);
  const spans = batch.items.map(({ span }) => span);
  return traceBatch(tracer, spans, () => lockAndCommit(state, batch));
}

async function lockAndCommit(state: WriterState, { items, userIds }: Batch): Promise<void> {
  const { inFlight, userLocks } = state;
  for (const item of items) inFlight.add(item);
  const { lease, granted } = await acquireUserLocks(userLocks, userIds);
  // Leave out operations that timed out meanwhile: their callers were refused, and nothing has been applied yet.
  const waiting = items.filter((item) => inFlight.has(item));
  const ready = waiting.filter((item) => granted.has(item.userId));
  const locked = waiting.filter((item) => !granted.has(item.userId));
  requeue(state, locked);
  const leftOut = await commit(state, ready);
  noteRowWaits(userLocks, usersOf(ready), usersOf(leftOut));
  // All at once, so that each user's operations return in their order.
  requeue(state, leftOut);
  // Not awaited: the next acquire is sent after it on the same connection.
  void lease.release();
}

/** Returns operations to the queue, except those whose callers were refused meanwhile. */
function requeue({ queue, inFlight }: WriterState, items: readonly Item[]): void {
  const waiting = items.filter((item) => inFlight.has(item));
  for (const item of waiting) inFlight.delete(item);
  queue.putBack(waiting);
}

// 4 · One transaction (transact.ts), then drop the cached balances and resolve the callers, while the loop continues with
// the next batch. Returns the operations that were left out.
async function commit(state: WriterState, items: readonly Item[]): Promise<readonly Item[]> {
  if (items.length === 0) return [];
  const startedAt = performance.now();
  const committed = await transactWithRetry(state, items);
  const operations = committed.applied.length;
  if (operations > 0) {
    const seconds = (performance.now() - startedAt) / 1000;
    state.deps.onBatch?.({ operations, seconds });
    state.deps.onExpired?.(committed.expiredCredits);
    void notifyCallers(state, committed);
  }
  return committed.leftOut;
}

async function notifyCallers(
  { deps }: WriterState,
  { applied, verdicts, changedUserIds }: Committed<Item>,
): Promise<void> {
  if (changedUserIds.length > 0) await deps.announce(changedUserIds);
  for (const [index, item] of applied.entries()) {
    const verdict = verdicts[index];
    const defect = verdict === undefined || (!verdict.ok && !isAppError(verdict.error));
    item.answer(defect ? failOne(deps.logger, item, verdict) : verdict);
  }
}

// Error handling. A conflict, or an unavailable database, runs the batch again. So does an unknown outcome: once the old
// transaction has let go of its rows, each operation sees whether it was applied, because its own id is stored with its
// key, hold or lot if it was. Any other error is one operation's fault, so the batch is split in halves until that
// operation fails alone.
async function transactWithRetry(
  state: WriterState,
  items: readonly Item[],
): Promise<Committed<Item>> {
  const { logger } = state.deps;
  const none = { applied: [], verdicts: [], changedUserIds: [], expiredCredits: 0, leftOut: [] };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transact(state.deps, items);
    } catch (error) {
      const { kind, cause } = error as TransactionFailed;
      if (kind === "unknownOutcome") for (const item of items) item.mayBeApplied = true;
      const poisoned = isPoisoned(kind);
      if (poisoned && items.length > 1) {
        logger.warn({ err: cause, operations: items.length }, "a batch failed; splitting it");
        return { ...none, leftOut: await commitHalves(state, items) };
      }
      const late = items.every((item) => performance.now() > item.deadlineMs);
      // A second attempt, because it will see a unique key that another user's transaction took meanwhile.
      if (attempt >= (poisoned ? 2 : state.limits.attempts) || late) {
        logger.error({ err: cause, kind, attempt }, "credit operations failed");
        for (const item of items) item.answer({ ok: false, error: toCallerError(kind, cause) });
        return none;
      }
      await sleep(fullJitterMs(attempt, RETRY_PAUSE));
    }
  }
}

/** Commits one half after the other, without overtaking a user whom the first one left out. */
async function commitHalves(state: WriterState, items: readonly Item[]): Promise<readonly Item[]> {
  const middle = Math.ceil(items.length / 2);
  const leftOut = await commit(state, items.slice(0, middle));
  const userIds = usersOf(leftOut);
  const second = items.slice(middle);
  const behind = second.filter(({ userId }) => userIds.has(userId));
  const free = second.filter(({ userId }) => !userIds.has(userId));
  return [...leftOut, ...behind, ...(await commit(state, free))];
}

/** A bug in the rules fails only its own operation; the rest of the batch is committed. */
function failOne(logger: Logger, item: Item, verdict: Verdict | undefined): Verdict {
  const cause = verdict?.ok === false ? verdict.error : undefined;
  logger.error({ err: cause, kind: item.operation.kind }, "a credit operation failed");
  return { ok: false, error: internal(cause) };
}

/** A bug in the writer itself: rejects the batch's callers, and the loop continues. */
function failBatch({ deps, inFlight }: WriterState, items: readonly Item[], cause: unknown): void {
  deps.logger.error({ err: cause }, "batch failed: defect in the writer");
  for (const item of items)
    if (inFlight.has(item)) item.answer({ ok: false, error: internal(cause) });
}

/** Rejects every caller past the deadline, whether still queued or waiting for a database that does not respond. */
function rejectOverdue({ queue, inFlight, userLocks }: WriterState): void {
  const nowMs = performance.now();
  const overdue = queue.remove((item) => item.deadlineMs <= nowMs);
  for (const item of inFlight) if (item.deadlineMs <= nowMs) overdue.push(item);
  for (const item of overdue) {
    const reject = inFlight.has(item) || item.mayBeApplied ? unavailable : refused;
    item.answer({ ok: false, error: reject("This took too long.") });
  }
  pruneWaits(userLocks, nowMs);
}

/** Refuses new operations and finishes the queued ones. */
async function close(state: WriterState): Promise<void> {
  state.closing = true;
  while (state.loop !== null || state.inFlight.size > 0) {
    await state.loop;
    if (state.inFlight.size > 0) await sleep(5);
  }
}
