// The end of a stream whose caller may no longer have it.
import type { AuthorityWatch } from "../auth/auth.types.ts";
import { unlessAborted } from "../lib/unless-aborted.ts";

/**
 * One stream that lasts no longer than the `authority` of its caller, which is watched; `reader` aborts when the reader has
 * left.
 */
export function authorisedStream(authority: AuthorityWatch, reader: AbortSignal | undefined) {
  // Aborted in any case: Node.js keeps joined signals that somebody listens to.
  const over = new AbortController();
  const ends = [authority.signal, over.signal];
  if (reader !== undefined) ends.push(reader);
  function end(): void {
    authority.stop();
    over.abort();
  }
  return {
    /**
     * Aborts when the stream is over: its reader has left, or its caller may no longer have it. A source that waits hears of
     * its end by nothing else: `return` is queued behind its step.
     */
    signal: AbortSignal.any(ends),
    /** There will be no stream. */
    end,
    /**
     * `source` for as long as the authority lasts; then the stream fails with the refusal a new request would get, at once and
     * whatever the source waits for. Clients renew an expired token and open the stream again; a revoked one is told so.
     */
    async *guard(source: AsyncIterable<unknown>): AsyncGenerator<unknown, void, void> {
      const iterator = source[Symbol.asyncIterator]();
      try {
        for (;;) {
          const step = await unlessAborted(iterator.next(), authority.signal);
          authority.signal.throwIfAborted();
          if (step === undefined || step.done) return;
          yield step.value;
        }
      } finally {
        end();
        // Not awaited: a source in the midst of a step ends when that step does.
        void Promise.resolve(iterator.return?.()).catch(() => undefined);
      }
    },
  };
}
