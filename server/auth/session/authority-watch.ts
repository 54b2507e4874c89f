// How long a stream may go on: until its caller would be refused, on whatever instance that was decided.
import { isAppError } from "../../lib/errors.ts";
import type { AuthorityWatch } from "../auth.types.ts";

/** Half a second leaves the other half of the promised second to the look itself. */
const CHECK_EVERY_MS = 400;

/**
 * Makes the function that watches bearers. Every open stream asks the very question a new request would ask, so revoked
 * sessions, disabled or deleted users, new roles and expired tokens end it alike. The looks of one instance share their
 * reads (session-cache.ts). A database that is unavailable decides nothing: the stream goes on until its token expires.
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
