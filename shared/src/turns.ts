// Serializes the refreshes of a browser's tabs: they share one cookie, and each use of it makes the previous one stale.

/** The part of https://w3c.github.io/web-locks/ that is used here. */
interface Locks {
  request<T>(name: string, options: { signal: AbortSignal }, work: () => Promise<T>): Promise<T>;
}

const LOCK = "skywork-refresh";
/** As long as a renewal with its retry may take (session.ts). A tab that takes longer hangs and blocks no others. */
const MAX_TURN_MS = 16_000;

/**
 * Runs `work`, a refresh by cookie, once no other tab of this browser is running one: to the server, a refresh that is
 * overtaken twice in transit looks like the use of a stolen cookie. Runs it immediately where tabs cannot wait for one
 * another.
 */
export async function refreshInTurn<T>(work: () => Promise<T>): Promise<T> {
  const { navigator } = globalThis as { navigator?: { locks?: Locks } };
  if (navigator?.locks === undefined) return work();
  const waiting = new AbortController();
  let timer = setTimeout(() => waiting.abort(), MAX_TURN_MS);
  const turn = await navigator.locks
    .request(LOCK, { signal: waiting.signal }, async () => {
      clearTimeout(timer);
      const answer = work();
      const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, MAX_TURN_MS)));
      await Promise.race([Promise.allSettled([answer]), over]);
      return { answer };
    })
    // The wait took too long, or this page may not hold a lock.
    .catch(() => null)
    .finally(() => clearTimeout(timer));
  return turn === null ? work() : turn.answer;
}
