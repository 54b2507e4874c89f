// Bounds on waiting. The work itself is not stopped: whoever starts it bounds or aborts it by its own means.

/** `work`, or rejects with `lateError()` once `ms` are over. Its late failure is nobody's unhandled rejection. */
export function withTimeout<T>(work: Promise<T>, ms: number, lateError: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(lateError()), ms);
    const stopTimer = () => clearTimeout(timer);
    work.then(stopTimer, stopTimer);
    work.then(resolve, reject);
  });
}

/** `work`, or `fallback` once `ms` are over. Rejects only as `work` does, within that time. */
export function withFallback<T>(work: Promise<T>, ms: number, fallback: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(fallback), ms);
    const stopTimer = () => clearTimeout(timer);
    work.then(stopTimer, stopTimer);
    work.then(resolve, reject);
  });
}
