// Whose turn it is to renew a browser's sign-in: its tabs share one cookie, and each use of it makes the one before old.

/** The part of https://w3c.github.io/web-locks/ that is used here. */
interface Locks {
  request<T>(name: string, options: { signal: AbortSignal }, work: () => Promise<T>): Promise<T>;
}

const LOCK = "skywork-refresh";
/** As long as a renewal takes that is asked for twice (session.ts): whoever takes longer hangs, and holds nobody up. */
const MAX_WAIT_MS = 16_000;

/**
 * Runs `work`, a refresh by cookie, when no other tab of this browser runs one: overtaken twice on the way, the server would
 * take it for a thief's. Runs it at once where tabs cannot wait for each other.
 */
export async function refreshInTurn<T>(work: () => Promise<T>): Promise<T> {
  const { navigator } = globalThis as { navigator?: { locks?: Locks } };
  if (navigator?.locks === undefined) return work();
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(), MAX_WAIT_MS);
  let begun = false;
  try {
    return await navigator.locks.request(LOCK, { signal: waiting.signal }, () => {
      begun = true;
      clearTimeout(timer);
      return work();
    });
  } catch (error) {
    if (begun) throw error;
    // It waited for too long, or this page may hold no lock.
    return await work();
  } finally {
    clearTimeout(timer);
  }
}
