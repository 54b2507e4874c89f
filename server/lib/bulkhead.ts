// A bulkhead around costly work: bounded in total and per caller. The rest waits, which is bounded too, or is refused.
import { AppError } from "./errors.ts";

/** A bulkhead's limits. */
interface BulkheadBounds {
  /** Pieces of work in flight at any time. */
  readonly concurrency: number;
  /** Pieces of one key that may be in flight or waiting; one more is refused with RATE_LIMITED. */
  readonly perKey: number;
  /** Pieces that may wait; one more is refused with SERVICE_UNAVAILABLE. */
  readonly maxQueue: number;
  /** Longest wait, in milliseconds; then SERVICE_UNAVAILABLE. */
  readonly maxWaitMs: number;
}

/** Admits work: first come, first served. */
export interface Bulkhead {
  /** Runs `work` when its turn comes. Throws RATE_LIMITED, SERVICE_UNAVAILABLE, or what `work` throws. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

const RETRY_AFTER_SECONDS = 2;

/** Creates a bulkhead for this process. */
export function createBulkhead(bounds: BulkheadBounds): Bulkhead {
  const inside = new Map<string, number>();
  const waiting: (() => void)[] = [];
  let running = 0;

  function busy(): AppError {
    return AppError.of("SERVICE_UNAVAILABLE", "The server is busy. Please try again in a moment.", {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
  }

  function turn(): Promise<void> {
    if (running < bounds.concurrency) {
      running += 1;
      return Promise.resolve();
    }
    if (waiting.length >= bounds.maxQueue) return Promise.reject(busy());
    return new Promise((resolve, reject) => {
      const enter = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        const place = waiting.indexOf(enter);
        if (place !== -1) waiting.splice(place, 1);
        reject(busy());
      }, bounds.maxWaitMs);
      waiting.push(enter);
    });
  }

  function leave(): void {
    // The slot passes directly to the next waiter, so that no other caller slips in between.
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }

  return {
    async run(key, work) {
      const mine = inside.get(key) ?? 0;
      if (mine >= bounds.perKey)
        throw AppError.of(
          "RATE_LIMITED",
          "Too many of these requests are under way. Please wait for one to end.",
          {
            retryAfterSeconds: RETRY_AFTER_SECONDS,
          },
        );
      inside.set(key, mine + 1);
      try {
        await turn();
        try {
          return await work();
        } finally {
          leave();
        }
      } finally {
        const left = (inside.get(key) ?? 1) - 1;
        if (left === 0) inside.delete(key);
        else inside.set(key, left);
      }
    },
  };
}
