// Ends a stream once its caller is no longer authorised.
import type { AuthorityWatch } from "../auth/auth.types.ts";
import { raceAbort } from "../lib/race-abort.ts";

/**
 * Ties one stream to the watched `authority` of its caller. `reader` aborts when the client disconnects.
 */
export function authorisedStream(authority: AuthorityWatch, reader: AbortSignal | undefined) {
  // Always aborted in the end: Node.js keeps a joined signal alive for as long as it has listeners.
  const over = new AbortController();
  const ends = [authority.signal, over.signal];
  if (reader !== undefined) ends.push(reader);
  function end(): void {
    authority.stop();
    over.abort();
  }
  return {
    /**
     * Aborts when the stream is over: its reader has disconnected, or its caller is no longer authorised. A waiting
     * source learns of this in no other way, because `return` is queued behind its pending step.
     */
    signal: AbortSignal.any(ends),
    /** Call this if there will be no stream after all. */
    end,
    /**
     * Yields from `source` while the authority lasts. Then the stream fails immediately, whatever the source is waiting
     * for, with the error a new request would get: TOKEN_EXPIRED, after which clients refresh and reopen it, or the
     * reason the session ended.
     */
    async *guard(source: AsyncIterable<unknown>): AsyncGenerator<unknown, void, void> {
      const iterator = source[Symbol.asyncIterator]();
      try {
        for (;;) {
          const step = await raceAbort(iterator.next(), authority.signal);
          authority.signal.throwIfAborted();
          if (step === undefined || step.done) return;
          yield step.value;
        }
      } finally {
        end();
        // Not awaited: a source in the middle of a step ends when that step does.
        void Promise.resolve(iterator.return?.()).catch(() => undefined);
      }
    },
  };
}
