// Awaits the first event of a stream, so that a refusal is known before the response headers are sent.
import { setTimeout as sleep } from "node:timers/promises";

/** After this long without a first event the response begins anyway, so that clients see it open. */
const FIRST_EVENT_MS = 1_000;

/**
 * Returns `source` once its first event is there, or after a second. Rejects if the source fails before that, so that
 * the response status can say so: a browser's EventSource gives up on a 4xx, but reconnects forever to a 200 that ends.
 * `onFailure` receives a later failure. The source is stopped when `signal` aborts, even if nothing reads it.
 */
export async function awaitFirstEvent(
  source: AsyncIterable<unknown>,
  signal: AbortSignal | undefined,
  onFailure: (error: unknown) => void,
): Promise<AsyncIterable<unknown>> {
  const iterator = source[Symbol.asyncIterator]();
  let first: Promise<IteratorResult<unknown>> | null = iterator.next();
  const onAbort = () => void end();
  // A listener left on tRPC's signal would leak the stream: Node.js keeps joined signals alive while they have any.
  const letGo = () => signal?.removeEventListener("abort", onAbort);
  const end = async (): Promise<IteratorResult<unknown>> => {
    letGo();
    // Not awaited: a source in the middle of a step ends when that step does.
    iterator.return?.().catch(() => undefined);
    return { done: true, value: undefined };
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  await hasFirstStep(first).catch((error: unknown) => {
    letGo();
    throw error;
  });
  return {
    // An object rather than a generator, because `return` on a generator that was never read does not run its cleanup.
    [Symbol.asyncIterator]: () => ({
      async next() {
        const pending = first ?? iterator.next();
        first = null;
        try {
          const step = await pending;
          if (step.done === true) letGo();
          return step;
        } catch (error) {
          letGo();
          if (signal?.aborted !== true) onFailure(error);
          throw error;
        }
      },
      return: end,
    }),
  };
}

/** Resolves once the first step is there, or after FIRST_EVENT_MS. Rejects if the step does. */
async function hasFirstStep(first: Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  const soon = sleep(FIRST_EVENT_MS, undefined, { signal: patience.signal, ref: false });
  await Promise.race([first, soon.catch(() => undefined)]).finally(() => patience.abort());
}
