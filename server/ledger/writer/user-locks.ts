// The users' Redis locks, taken for a whole batch in one round trip, and which users have to wait for a lock. Redis
// locks keep instances from asking for the same row in the database; correctness rests on the row lock alone.
import type { LockLease, Locks } from "../../kv/ports.ts";
import { jitteredMs } from "../../lib/backoff.ts";

const LOCK_TTL_MS = 5_000;
const RETRY_MS = 3;
/** The pause before a row that another transaction holds is asked for again; it doubles with each time. */
const ROW_RETRY = { firstMs: 2, maxMs: 16 };
const MAX_PAUSE_MS = 50;
const FORGET_AFTER_MS = 60_000;

/** A user whose lock another instance holds. */
interface LockWait {
  readonly sinceMs: number;
  readonly retryAtMs: number;
}

/** A user whose row another transaction holds. */
interface RowWait {
  readonly pauseMs: number;
  readonly retryAtMs: number;
}

/** The locks, and the users waiting for one. */
export interface UserLocks {
  readonly locks: Locks;
  /** How long to wait for a user's lock before relying on the row lock alone. */
  readonly patienceMs: number;
  readonly waits: Map<string, LockWait>;
  readonly rowWaits: Map<string, RowWait>;
}

/** Creates the locks, with no user waiting yet. */
export function createUserLocks(locks: Locks, patienceMs: number): UserLocks {
  return { locks, patienceMs, waits: new Map(), rowWaits: new Map() };
}

/** Tries to take the users' locks. Returns the users who may run now and the lease to release after. Never throws. */
export async function acquireUserLocks(
  userLocks: UserLocks,
  userIds: ReadonlySet<string>,
): Promise<{ lease: LockLease; granted: ReadonlySet<string> }> {
  const { locks, waits } = userLocks;
  const impatient = new Set([...userIds].filter((id) => hasWaitedTooLong(userLocks, id)));
  const keys = [...userIds].filter((id) => !impatient.has(id)).map(lockKey);
  const lease = await locks.acquire(keys, LOCK_TTL_MS).catch(() => allGranted(keys));
  // They stay impatient until they get their row: a busy instance leaves it free only briefly.
  const granted = new Set(impatient);
  const nowMs = performance.now();
  for (const id of userIds) {
    if (impatient.has(id)) continue;
    if (lease.acquired.has(lockKey(id))) {
      granted.add(id);
      waits.delete(id);
    } else
      waits.set(id, {
        sinceMs: waits.get(id)?.sinceMs ?? nowMs,
        retryAtMs: nowMs + RETRY_MS * (0.5 + Math.random()),
      });
  }
  return { lease, granted };
}

/** Notes which of the users that a transaction asked for were left out because another one holds their rows. */
export function noteRowWaits(
  { waits, rowWaits }: UserLocks,
  userIds: ReadonlySet<string>,
  heldElsewhere: ReadonlySet<string>,
): void {
  const nowMs = performance.now();
  for (const id of userIds) {
    const before = rowWaits.get(id);
    if (!heldElsewhere.has(id)) {
      waits.delete(id);
      rowWaits.delete(id);
      continue;
    }
    const doubled = before === undefined ? ROW_RETRY.firstMs : 2 * before.pauseMs;
    const pauseMs = Math.min(ROW_RETRY.maxMs, doubled);
    rowWaits.set(id, { pauseMs, retryAtMs: nowMs + jitteredMs(pauseMs) });
  }
}

/** Whether the user is not waiting for a lock, or it is time to try again. */
export function canAttempt(userLocks: UserLocks, userId: string): boolean {
  if ((userLocks.rowWaits.get(userId)?.retryAtMs ?? 0) > performance.now()) return false;
  const wait = userLocks.waits.get(userId);
  return (
    wait === undefined || wait.retryAtMs <= performance.now() || hasWaitedTooLong(userLocks, userId)
  );
}

/** Returns the milliseconds until the next lock is due for a retry. */
export function pauseUntilRetryMs({ waits, rowWaits }: UserLocks): number {
  const nowMs = performance.now();
  let pauseMs = MAX_PAUSE_MS;
  // A lock already due for a retry does not count: its user waits for something else, or is no longer waiting.
  for (const waiting of [waits, rowWaits])
    for (const { retryAtMs } of waiting.values())
      if (retryAtMs > nowMs) pauseMs = Math.min(pauseMs, retryAtMs - nowMs);
  return pauseMs;
}

/** Drops waits for a Redis lock that began more than a minute ago, and those for a row not asked for since then. */
export function pruneWaits({ waits, rowWaits }: UserLocks, nowMs: number): void {
  for (const [id, { sinceMs }] of waits) if (nowMs - sinceMs > FORGET_AFTER_MS) waits.delete(id);
  for (const [id, { retryAtMs }] of rowWaits)
    if (nowMs - retryAtMs > FORGET_AFTER_MS) rowWaits.delete(id);
}

/** Bounds the wait: a Redis lock whose holder died stays until its time is up, and the row is free long before. */
function hasWaitedTooLong({ waits, patienceMs }: UserLocks, userId: string): boolean {
  const wait = waits.get(userId);
  return wait !== undefined && performance.now() - wait.sinceMs >= patienceMs;
}

function lockKey(userId: string): string {
  return `credit-lock:{${userId}}`;
}

function allGranted(keys: readonly string[]): LockLease {
  return { acquired: new Set(keys), release: () => Promise.resolve() };
}
