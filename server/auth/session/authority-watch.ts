// Lets a stream continue until its caller would be refused, whichever instance decided that.
import { isAppError } from "../../lib/errors.ts";
import type { AuthorityWatch } from "../auth.types.ts";

/** Streams have to end within a second of a revocation. This leaves more than half of that to the check itself. */
const CHECK_EVERY_MS = 400;

/**
 * Returns the function that watches bearers. Every open stream is checked exactly as a new request would be, so revoked
 * sessions, disabled or deleted users, new roles and expired tokens all end it. The checks of one instance share their
 * reads (session-cache.ts). While the database is unavailable, a stream continues until its token expires.
 */
export function createAuthorityWatch(deps: {
  authenticate: (bearer: string | null) => Promise<unknown>;
  checkEveryMs?: number;
}): (bearer: string | null) => AuthorityWatch {
  const watched = new Map<AbortController, string | null>();
  let timer: NodeJS.Timeout | null = null;

  async function check(watch: AbortController, bearer: string | null): Promise<void> {
    try {
      await deps.authenticate(bearer);
    } catch (error) {
      if (!isAppError(error) || error.httpStatus >= 500 || !watched.delete(watch)) return;
      watch.abort(error);
    }
  }

  function scheduleCheck(): void {
    if (timer !== null || watched.size === 0) return;
    timer = setTimeout(() => {
      const looks = Array.from(watched, ([watch, bearer]) => check(watch, bearer));
      void Promise.all(looks).then(() => {
        timer = null;
        scheduleCheck();
      });
    }, deps.checkEveryMs ?? CHECK_EVERY_MS);
    timer.unref();
  }

  return (bearer) => {
    const watch = new AbortController();
    watched.set(watch, bearer);
    scheduleCheck();
    return { signal: watch.signal, stop: () => void watched.delete(watch) };
  };
}
