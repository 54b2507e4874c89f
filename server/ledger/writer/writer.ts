// Owns the one lane through which credits change. Read it from top to bottom to follow one batch:
// submit -> next batch -> locks -> transaction (load, decide, save) -> answers; below that, what may go wrong.
import { setTimeout as sleep } from "node:timers/promises";
import type { LockLease, Locks } from "../../kv/ports.ts";
import type { Database } from "../../database/database.ts";
import { classifyDatabaseError } from "../../database/errors.ts";
import { AppError, isAppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import type { Announce } from "../balance-cache.ts";
import { newId } from "../../lib/ids.ts";
import type { HoldResult, LedgerOperation, OperationResult } from "../ports.ts";
import { createFairQueue, type Queued } from "./fair-queue.ts";
import { createSheet, type Verdict } from "./batch-state.ts";
import { load, save } from "../store/accounts.store.ts";

/** What the writer stands on. */
export interface WriterDeps {
  readonly database: Database;
  readonly locks: Locks;
  readonly logger: Logger;
  readonly now: () => number;
  readonly announce: Announce;
  readonly limits?: Partial<WriterLimits>;
  /** Hears of every batch that became durable, for the metrics. */
  readonly onBatch?: (batch: { readonly operations: number; readonly seconds: number }) => void;
}

/** Its bounds. */
export interface WriterLimits {
  /** Operations in one transaction. */
  readonly batchSize: number;
  /** Operations waiting; one more is refused. */
  readonly queueSize: number;
  /** How long a caller waits for an answer. */
  readonly deadlineMs: number;
  /** How long a user's Redis lock is waited for before the row lock alone has to do. */
  readonly lockPatienceMs: number;
  /** Tries of one transaction. */
  readonly attempts: number;
}

const DEFAULT_LIMITS: WriterLimits = {
  batchSize: 256,
  queueSize: 20_000,
  // Leaves a second of the three within which a request is answered to what came before: the session, a reconnect.
  deadlineMs: 2_000,
  lockPatienceMs: 12,
  attempts: 8,
};
/** How often it is looked for callers who have waited long enough. */
const LOOK_EVERY_MS = 100;
const LOCK_TTL_MS = 5_000;
const LOCK_RETRY_MS = 3;
const MAX_PAUSE_MS = 150;

/** The lane. */
export interface Writer {
  submit(operation: LedgerOperation): Promise<OperationResult | HoldResult>;
  /** Operations waiting or under way. */
  readonly pending: number;
  close(): Promise<void>;
}

interface Item extends Queued {
  readonly operation: LedgerOperation;
  /** Stays the same over all tries: by it the effect of a lost COMMIT is recognised. */
  readonly operationId: string;
  readonly deadlineMs: number;
  readonly answer: (verdict: Verdict) => void;
}

/** A user whose lock another instance holds. */
interface Waiting {
  readonly sinceMs: number;
  readonly retryAtMs: number;
}

/** Starts an idle lane. */
export function createWriter(deps: WriterDeps): Writer {
  const { database, locks, logger, now, announce } = deps;
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  const queue = createFairQueue<Item>();
  const waiting = new Map<string, Waiting>();
  const underWay = new Set<Item>();
  let arrivals = 0;
  let lane: Promise<void> | null = null;
  let closing = false;

  // 1 · An operation arrives. It joins the queue; an idle lane starts.
  function submit(operation: LedgerOperation): Promise<OperationResult | HoldResult> {
    if (closing) return Promise.reject(unavailable("The server is stopping."));
    if (queue.size >= limits.queueSize)
      return Promise.reject(unavailable("Too many credit operations are waiting."));
    return new Promise((resolve, reject) => {
      arrivals += 1;
      const item: Item = {
        userId: operation.userId,
        arrival: arrivals,
        operation,
        operationId: newId(now()),
        deadlineMs: performance.now() + limits.deadlineMs,
        answer(verdict) {
          underWay.delete(item);
          if (verdict.ok) resolve(verdict.result);
          else reject(verdict.error);
        },
      };
      queue.push(item);
      lane ??= runLane();
    });
  }

  // 2 · While there is work, one batch follows another. What arrives during a batch forms the next one.
  async function runLane(): Promise<void> {
    const watch = setInterval(answerOverdue, LOOK_EVERY_MS);
    // Callers of the same tick, a tRPC batch for instance, share the first transaction.
    await Promise.resolve();
    while (queue.size > 0) {
      const items = queue.take(limits.batchSize, mayRun);
      if (items.length > 0) await runBatch(items).catch((error: unknown) => giveUp(items, error));
      else await sleep(pauseUntilRetry());
    }
    clearInterval(watch);
    // No await between the last look at the queue and this: nobody can be left behind.
    lane = null;
  }

  // 3 · One batch: take the users' locks in one round trip; whoever is locked elsewhere waits for the next batch.
  async function runBatch(items: Item[]): Promise<void> {
    for (const item of items) underWay.add(item);
    const { lease, ready } = await takeLocks(items);
    if (ready.length > 0) await commit(ready);
    // Not awaited: the next batch's acquire travels behind it on the same connection.
    void lease.release();
  }

  async function takeLocks(items: Item[]): Promise<{ lease: LockLease; ready: Item[] }> {
    const users = new Set(items.map((item) => item.userId));
    const impatient = [...users].filter(isImpatient);
    const keys = [...users].filter((id) => !impatient.includes(id)).map(lockKey);
    const lease = await locks.acquire(keys, LOCK_TTL_MS).catch(() => NO_LEASE(keys));
    const runs = (id: string) => lease.acquired.has(lockKey(id)) || impatient.includes(id);
    // Who was told meanwhile that it took too long is left out: nothing of theirs has happened yet.
    const waits = items.filter((item) => underWay.has(item));
    const ready = waits.filter((item) => runs(item.userId));
    const late = waits.filter((item) => !runs(item.userId));
    const at = performance.now();
    for (const id of users) {
      if (runs(id)) waiting.delete(id);
      else
        waiting.set(id, {
          sinceMs: waiting.get(id)?.sinceMs ?? at,
          retryAtMs: at + LOCK_RETRY_MS * (0.5 + Math.random()),
        });
    }
    for (const item of late) underWay.delete(item);
    queue.putBack(late);
    return { lease, ready };
  }

  // 4 · One transaction: lock the user rows, read, decide every operation in memory in order of arrival, write.
  async function transact(items: readonly Item[]): Promise<Committed> {
    let decided = false;
    try {
      return await database.rawTransaction(async (session) => {
        const loaded = await load(
          session,
          items.map((item) => item.operation),
        );
        const sheet = createSheet(loaded, now());
        const verdicts = items.map((item) => sheet.apply(item.operation, item.operationId));
        if (sheet.dirty) await save(session, sheet);
        decided = true;
        return { verdicts, changedUserIds: sheet.changedUserIds() };
      });
    } catch (error) {
      const kind = classifyDatabaseError(error);
      // A connection lost after the last statement was lost at COMMIT.
      throw new TransactionFailed(kind === "away" && decided ? "unknownOutcome" : kind, error);
    }
  }

  // 5 · Durable: caches are dropped, then the callers are answered, while the lane goes on with the next batch.
  async function commit(items: readonly Item[]): Promise<void> {
    const startedAt = performance.now();
    const committed = await transactPatiently(items);
    if (committed === null) return;
    deps.onBatch?.({ operations: items.length, seconds: (performance.now() - startedAt) / 1000 });
    const { verdicts, changedUserIds } = committed;
    void tell(items, verdicts, changedUserIds);
  }

  async function tell(
    items: readonly Item[],
    verdicts: readonly Verdict[],
    changedUserIds: readonly string[],
  ): Promise<void> {
    if (changedUserIds.length > 0) await announce(changedUserIds);
    for (const [index, item] of items.entries()) {
      const verdict = verdicts[index];
      item.answer(verdict === undefined || isDefect(verdict) ? failed(item, verdict) : verdict);
    }
  }

  // What may go wrong. A conflict runs the batch again. So does an unknown outcome: the new transaction waits for the
  // row locks of the old one, and then every operation finds its own id under its key, hold or lot, or it does not.
  // Anything else is one operation's fault: the halves are tried apart until it stands alone.
  async function transactPatiently(items: readonly Item[]): Promise<Committed | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await transact(items);
      } catch (error) {
        const { kind, cause } = error as TransactionFailed;
        const poisoned = kind === "other" || kind === "unique";
        if (poisoned && items.length > 1) {
          logger.warn({ err: cause, operations: items.length }, "a batch failed; splitting it");
          const middle = Math.ceil(items.length / 2);
          await commit(items.slice(0, middle));
          await commit(items.slice(middle));
          return null;
        }
        const late = items.every((item) => performance.now() > item.deadlineMs);
        // A unique key taken by another user's transaction meanwhile is seen by the next try.
        if (attempt >= (poisoned ? 2 : limits.attempts) || late) {
          logger.error({ err: cause, kind, attempt }, "credit operations failed");
          for (const item of items) item.answer({ ok: false, error: refusal(kind, cause) });
          return null;
        }
        await sleep(Math.random() * Math.min(MAX_PAUSE_MS, 2 ** attempt * 2));
      }
    }
  }

  /** A defect in the rules fails its own operation; the others of the batch are durable. */
  function failed(item: Item, verdict: Verdict | undefined): Verdict {
    const cause = verdict?.ok === false ? verdict.error : undefined;
    logger.error({ err: cause, kind: item.operation.kind }, "a credit operation failed");
    return {
      ok: false,
      error: AppError.of("INTERNAL", "Credit operation failed", undefined, cause),
    };
  }

  /** A defect of the writer itself: its callers hear of it, and the lane goes on. */
  function giveUp(items: readonly Item[], cause: unknown): void {
    logger.error({ err: cause }, "a batch was given up");
    for (const item of items)
      if (underWay.has(item)) item.answer({ ok: false, error: refusal("other", cause) });
  }

  /** Nobody waits past the deadline: not in the queue, and not for a database that does not answer. */
  function answerOverdue(): void {
    const at = performance.now();
    const overdue = queue.remove((item) => item.deadlineMs <= at);
    for (const item of underWay) if (item.deadlineMs <= at) overdue.push(item);
    for (const item of overdue)
      item.answer({ ok: false, error: unavailable("This took too long.") });
    for (const [id, { sinceMs }] of waiting) if (at - sinceMs > 60_000) waiting.delete(id);
  }

  function mayRun(userId: string): boolean {
    const lock = waiting.get(userId);
    return lock === undefined || lock.retryAtMs <= performance.now() || isImpatient(userId);
  }

  /** The row lock queues fairly where a Redis lock is taken by whoever asks at the right moment: so none starves. */
  function isImpatient(userId: string): boolean {
    const lock = waiting.get(userId);
    return lock !== undefined && performance.now() - lock.sinceMs >= limits.lockPatienceMs;
  }

  function pauseUntilRetry(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { retryAtMs } of waiting.values()) next = Math.min(next, retryAtMs);
    return Math.min(Math.max(next - performance.now(), 0), 50);
  }

  return {
    submit,
    get pending() {
      return queue.size + underWay.size;
    },
    async close() {
      closing = true;
      while (lane !== null || underWay.size > 0) {
        await lane;
        if (underWay.size > 0) await sleep(5);
      }
    },
  };
}

interface Committed {
  readonly verdicts: readonly Verdict[];
  readonly changedUserIds: readonly string[];
}

/** Why a transaction did not come to its end. */
class TransactionFailed extends Error {
  readonly kind: ReturnType<typeof classifyDatabaseError>;
  constructor(kind: ReturnType<typeof classifyDatabaseError>, cause: unknown) {
    super(`Transaction failed: ${kind}`, { cause });
    this.kind = kind;
  }
}

function lockKey(userId: string): string {
  return `credit-lock:{${userId}}`;
}

function NO_LEASE(keys: readonly string[]): LockLease {
  return { acquired: new Set(keys), release: () => Promise.resolve() };
}

function isDefect(verdict: Verdict): boolean {
  return !verdict.ok && !isAppError(verdict.error);
}

function unavailable(message: string, cause?: unknown): AppError {
  return AppError.of(
    "SERVICE_UNAVAILABLE",
    `${message} Please try again in a moment, with the same key.`,
    { retryAfterSeconds: 1 },
    cause,
  );
}

function refusal(kind: TransactionFailed["kind"], cause: unknown): AppError {
  if (kind === "other" || kind === "unique")
    return AppError.of("INTERNAL", "Credit operation failed", undefined, cause);
  return unavailable("The database cannot answer right now.", cause);
}
