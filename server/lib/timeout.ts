// Bounds on waiting. The work itself is not stopped: its caller has to bound or abort it separately.

/** A timer this late was not late by chance: this process was stalled. */
const STALL_MS = 100;

/**
 * Calls `onLate` once `ms` have passed. Time during which this process was stalled (a blocked event loop) does not
 * count, because a reply may have arrived unread: it is added to the wait, up to `ms` in all. Returns a function that
 * cancels the wait.
 */
function afterMs(ms: number, onLate: () => void): () => void {
  let timer: NodeJS.Timeout;
  let leftToAddMs = ms;
  function wait(forMs: number): void {
    const startedAtMs = performance.now();
    timer = setTimeout(() => {
      const lateMs = performance.now() - startedAtMs - forMs;
      const addedMs = lateMs < STALL_MS ? 0 : Math.min(lateMs, leftToAddMs);
      leftToAddMs -= addedMs;
      if (addedMs === 0) onLate();
      else wait(addedMs);
    }, forMs);
  }
  wait(ms);
  return () => clearTimeout(timer);
}

/**
 * Settles as `work` does, or rejects with `timeoutError()` once `ms` have passed. A later rejection of `work` is
 * swallowed.
 */
export function withTimeout<T>(
  work: Promise<T>,
  ms: number,
  timeoutError: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopWaiting = afterMs(ms, () => reject(timeoutError()));
    work.then(stopWaiting, stopWaiting);
    work.then(resolve, reject);
  });
}

/** Settles as `work` does, or resolves to `fallback` once `ms` have passed. */
export function withFallback<T>(work: Promise<T>, ms: number, fallback: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopWaiting = afterMs(ms, () => resolve(fallback));
    work.then(stopWaiting, stopWaiting);
    work.then(resolve, reject);
  });
}
