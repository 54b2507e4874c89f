// The first event of a stream: awaited, so that a refusal is known before the head of the answer is written.
import { setTimeout as sleep } from "node:timers/promises";

/** After this long without a first event the answer begins, so that clients see it open. */
const FIRST_EVENT_MS = 1_000;

/**
 * Returns `source` once its first event is there, or a second has passed. Rejects with what the source refuses at its start, so
 * that the answer's status can say so: a browser's EventSource stops at a 4xx, and comes back for ever to a 200 that ends.
 * `onFailure` hears of what it fails with later. The source is told to stop when `signal` aborts, read or not.
 */
export async function awaitFirstEvent(
  source: AsyncIterable<unknown>,
  signal: AbortSignal | undefined,
  onFailure: (error: unknown) => void,
): Promise<AsyncIterable<unknown>> {
  const iterator = source[Symbol.asyncIterator]();
  let first: Promise<IteratorResult<unknown>> | null = iterator.next();
  const onAbort = () => void end();
  // A listener left on tRPC's signal keeps the whole stream for ever: Node.js holds on to joined signals that have one.
  const letGo = () => signal?.removeEventListener("abort", onAbort);
  const end = async (): Promise<IteratorResult<unknown>> => {
    letGo();
    // Not awaited: a source in the midst of a step ends when that step does.
    iterator.return?.().catch(() => undefined);
    return { done: true, value: undefined };
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  await hasFirstStep(first).catch((error: unknown) => {
    letGo();
    throw error;
  });
  return {
    // An object and no generator: one that was never read would not hear of its end.
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

/** Resolves with the first step, or after FIRST_EVENT_MS without it. Rejects as the step does. */
async function hasFirstStep(first: Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  const soon = sleep(FIRST_EVENT_MS, undefined, { signal: patience.signal, ref: false });
  await Promise.race([first, soon.catch(() => undefined)]).finally(() => patience.abort());
}
