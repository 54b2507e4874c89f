// Whose turn it is to renew a browser's sign-in: its tabs share one cookie, and each use of it makes the one before old.

/** The part of https://w3c.github.io/web-locks/ that is used here. */
interface Locks {
  request<T>(name: string, options: { signal: AbortSignal }, work: () => Promise<T>): Promise<T>;
}

const LOCK = "skywork-refresh";
/** As long as a renewal takes that is asked for twice (session.ts): whoever takes longer hangs, and holds nobody up. */
const MAX_TURN_MS = 16_000;

/**
 * Runs `work`, a refresh by cookie, when no other tab of this browser runs one: overtaken twice on the way, the server would
 * take it for a thief's. Runs it at once where tabs cannot wait for each other.
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
    // It waited for too long, or this page may hold no lock.
    .catch(() => null)
    .finally(() => clearTimeout(timer));
  return turn === null ? work() : turn.answer;
}
