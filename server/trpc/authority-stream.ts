// The end of a stream whose caller may no longer have it.
import type { AuthorityWatch } from "../auth/auth.types.ts";

/**
 * `source` for as long as `authority` lasts; then the stream fails with the refusal a new request would get, at once and
 * whatever the source waits for. Clients renew an expired token and open the stream again; a revoked one is told so.
 */
export async function* whileAuthorised(
  source: AsyncIterable<unknown>,
  authority: AuthorityWatch,
): AsyncGenerator<unknown, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await unlessAborted(iterator.next(), authority.signal);
      if (step.done) return;
      yield step.value;
    }
  } finally {
    authority.stop();
    // Not awaited: a source in the midst of a step ends when that step does.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** `work`, or the signal's reason as soon as it aborts. One listener per step: a race with one promise would keep each. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
