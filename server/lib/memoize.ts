// Caches values that are read often and may be slightly stale: scrapes and probes must not become load.

/** Returns a function that calls `ask` at most once per `ttlMs`, and never concurrently. A failure is not kept. */
export function memoize<T>(ttlMs: number, ask: () => Promise<T>): () => Promise<T> {
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let answer: Promise<T> | null = null;
  let isAsking = false;
  return () => {
    if (answer !== null && (isAsking || performance.now() - askedAtMs < ttlMs)) return answer;
    askedAtMs = performance.now();
    answer = ask();
    isAsking = true;
    answer.then(
      () => {
        isAsking = false;
      },
      () => {
        isAsking = false;
        answer = null;
      },
    );
    return answer;
  };
}
