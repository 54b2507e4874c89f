// Whether a session is still valid, answered from memory yet never staler than the last change on any instance.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { serviceUnavailable } from "../../database/errors.ts";
import type { Cache } from "../../kv/ports.ts";
import { joinReads } from "../../lib/join-reads.ts";
import type { SessionStatus } from "../auth.types.ts";
import type { SessionStore } from "../ports.ts";

// How it works (docs/decisions/0030): all instances share one random "epoch" in the cache. Every committed change of a
// session, role or account deletes it, and the next request that misses it makes a new one. A request first reads the
// epoch, with a read that starts after the request has arrived, and only then trusts what this instance remembers from
// the same epoch. Requests that arrive while a read is in flight share the next one, so a busy instance makes a few
// hundred reads a second, however many requests it serves.

const EPOCH_KEY = "auth:epoch";
const EPOCH_TTL_SECONDS = 86_400;
/**
 * Bounds staleness if the deletion did not reach every instance, because only the instance that made the change could
 * not reach Redis, or because of a failover to a replica that had not seen the deletion.
 */
const REMEMBERED_MS = 1_000;
/** More sessions than one process serves within REMEMBERED_MS. */
const MAX_REMEMBERED = 10_000;
const MAX_JOINED = 500;
/** Longest wait for a read, including the one before it, so that a silent database is a 503 within three seconds. */
const READ_WITHIN_MS = 2_500;
/** A shared cache that did not respond is left alone for this long; meanwhile the database is asked. */
const UNAVAILABLE_MS = 1_000;
/** The least time between the starts of two reads of the shared cache. */
const PACE_MS = 2;

/** The session and the user that a token names. */
interface Wanted {
  readonly sessionId: string;
  readonly userId: string;
}

/** The current status of sessions. */
export interface SessionCache {
  /** Returns null when that user has no such session. Throws SERVICE_UNAVAILABLE when the database is unavailable. */
  get(wanted: Wanted): Promise<SessionStatus | null>;
  /** Makes every instance reread. Call after the commit. Never throws. */
  invalidate(): Promise<void>;
}

/** Returns session statuses from `store`, remembered as far as `sharedCache` allows (null: not at all). */
export function createSessionCache(deps: {
  store: Pick<SessionStore, "statuses">;
  sharedCache: Cache | null;
}): SessionCache {
  const { store, sharedCache } = deps;
  const remembered = new LRUCache<
    string,
    { status: SessionStatus; epoch: string; untilMs: number }
  >({
    max: MAX_REMEMBERED,
  });
  const read = joinReads({
    readMany: (sessionIds) => store.statuses(sessionIds),
    most: MAX_JOINED,
    withinMs: READ_WITHIN_MS,
    timeoutError: serviceUnavailable,
  });
  const readOwn = async ({ sessionId, userId }: Wanted) => {
    const status = await read(sessionId);
    return status?.userId === userId ? status : null;
  };
  const epoch = sharedCache === null ? async () => null : sharedEpoch(sharedCache);
  return {
    async get(wanted) {
      const current = await epoch();
      if (current === null) return readOwn(wanted);
      const known = remembered.get(wanted.sessionId);
      if (
        known !== undefined &&
        known.epoch === current &&
        known.untilMs > performance.now() &&
        known.status.userId === wanted.userId
      ) {
        return known.status;
      }
      // The epoch was read before the row, so after a change in between the next request sees a newer epoch.
      const status = await readOwn(wanted);
      if (status !== null) {
        const untilMs = performance.now() + REMEMBERED_MS;
        remembered.set(wanted.sessionId, { status, epoch: current, untilMs });
      }
      return status;
    },
    async invalidate() {
      // A deletion that does not reach Redis is repeated before this instance trusts Redis again (kv/redis/cache.ts).
      await sharedCache?.delete(EPOCH_KEY);
    },
  };
}

/** Returns a reader of the shared epoch; null = unknown, ask the database. Each read starts after its call. */
function sharedEpoch(cache: Cache): () => Promise<string | null> {
  let unavailableUntilMs = 0;
  let lastStartMs = 0;
  async function readNow(): Promise<string | null> {
    lastStartMs = performance.now();
    const current = await cache.get(EPOCH_KEY);
    if (current !== undefined) return current;
    // Absent, or the cache is unavailable: setting it shows which. If another instance sets it first, its epoch counts
    // only from the next read on.
    const fresh = randomUUID();
    const set = await cache.setIfAbsent(EPOCH_KEY, fresh, EPOCH_TTL_SECONDS);
    if (set === undefined) unavailableUntilMs = performance.now() + UNAVAILABLE_MS;
    return set === true ? fresh : null;
  }
  let running: Promise<string | null> | null = null;
  let waiting: Promise<string | null> | null = null;
  function start(): Promise<string | null> {
    const mine = readNow().finally(() => {
      if (running === mine) running = null;
    });
    running = mine;
    return mine;
  }
  return () => {
    if (performance.now() < unavailableUntilMs) return Promise.resolve(null);
    if (running === null) return start();
    waiting ??= running
      .then(() => {
        const restMs = PACE_MS - (performance.now() - lastStartMs);
        return restMs > 0 ? sleep(restMs) : undefined;
      })
      .then(() => {
        waiting = null;
        return start();
      });
    return waiting;
  };
}
