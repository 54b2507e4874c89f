// Limits how many run streams one user has open on this instance.
import { AppError } from "../lib/errors.ts";

/** As many as `credit.onChange` allows: enough for all tabs of a busy user, too few for a flood. */
const MAX_STREAMS_PER_USER = 20;

/** Counts the streams of this instance. */
export function createOpenStreams() {
  const open = new Map<string, number>();
  return {
    /** Passes `source` through, counted until it ends. Throws RATE_LIMITED if the user has too many open. */
    async *hold<T>(
      userId: string,
      source: AsyncGenerator<T, void, void>,
    ): AsyncGenerator<T, void, void> {
      const mine = open.get(userId) ?? 0;
      if (mine >= MAX_STREAMS_PER_USER)
        throw AppError.of("RATE_LIMITED", "Too many streams are open for this account.", {
          retryAfterSeconds: 60,
        });
      open.set(userId, mine + 1);
      try {
        yield* source;
      } finally {
        const left = (open.get(userId) ?? 1) - 1;
        if (left === 0) open.delete(userId);
        else open.set(userId, left);
      }
    },
  };
}
