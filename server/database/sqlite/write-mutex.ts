// The queue in front of SQLite's single writer.

/** A lock with one holder at a time: first come, first served. */
export interface Mutex {
  /**
   * Waits for the turn, for up to `waitMs`, and returns the function that ends it (idempotent). Rejects with
   * `MutexTimeoutError`; a waiter that timed out never gets the turn.
   */
  acquire(waitMs: number): Promise<() => void>;
}

/** The turn did not come in time. */
export class MutexTimeoutError extends Error {
  override readonly name = "MutexTimeoutError";
}

/** Creates a mutex with at most `maxWaiting` waiters; one more is rejected immediately, so memory stays bounded. */
export function createMutex(maxWaiting: number): Mutex {
  const waiting: { start(): void; abandoned: boolean }[] = [];
  let held = false;
  let live = 0;

  function next(): void {
    let waiter = waiting.shift();
    while (waiter?.abandoned) waiter = waiting.shift();
    if (waiter === undefined) held = false;
    else waiter.start();
  }

  function turn(): () => void {
    let over = false;
    return () => {
      if (over) return;
      over = true;
      next();
    };
  }

  return {
    acquire(waitMs) {
      if (!held) {
        held = true;
        return Promise.resolve(turn());
      }
      if (live >= maxWaiting) {
        return Promise.reject(new MutexTimeoutError(`${maxWaiting} writers are waiting already`));
      }
      live += 1;
      return new Promise((resolve, reject) => {
        const waiter = {
          abandoned: false,
          start() {
            clearTimeout(timer);
            live -= 1;
            resolve(turn());
          },
        };
        const timer = setTimeout(() => {
          waiter.abandoned = true;
          live -= 1;
          reject(new MutexTimeoutError(`Write lock not acquired within ${waitMs} ms`));
        }, waitMs);
        waiting.push(waiter);
      });
    },
  };
}
