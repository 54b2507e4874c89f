// Bounds on waiting. The work itself is not stopped: whoever starts it bounds or aborts it by its own means.

/** A timer this late was not late by chance: this process stood still. */
const STALL_MS = 100;

/**
 * Calls `onLate` once `ms` are over. Time in which this process stood still (a blocked event loop) is no time the other
 * side took: an answer may be there and not read yet. That time is added, `ms` at most. Returns a function that stops it.
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

/** `work`, or rejects with `lateError()` once `ms` are over. A rejection after the timeout is swallowed. */
export function withTimeout<T>(work: Promise<T>, ms: number, lateError: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopWaiting = afterMs(ms, () => reject(lateError()));
    work.then(stopWaiting, stopWaiting);
    work.then(resolve, reject);
  });
}

/** `work`, or `fallback` once `ms` are over. Rejects only as `work` does, within that time. */
export function withFallback<T>(work: Promise<T>, ms: number, fallback: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopWaiting = afterMs(ms, () => resolve(fallback));
    work.then(stopWaiting, stopWaiting);
    work.then(resolve, reject);
  });
}
