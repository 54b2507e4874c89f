// Announces changed balances: the shared cache first, then every instance's subscribers.
import { LRUCache } from "lru-cache";
import type { Cache, PubSub } from "../kv/ports.ts";
import type { Logger } from "../lib/logger.ts";

/** Messages on it are JSON arrays of user ids. One channel and one message per batch, however many users it has. */
export const CREDIT_CHANNEL = "credit-changed";

/** Where a user's balance is cached. The braces keep one user's keys on one node of a Redis Cluster. */
export function balanceKey(userId: string): string {
  return `credit-balance:{${userId}}`;
}

/**
 * What a change leaves in the cache instead of nothing: a reader who read the database just before the change and
 * fills the cache (set-if-absent) just after it finds the place taken, so an old balance is never cached.
 */
export const TOMBSTONE = "changed";
/** A tombstone outlives every read: a reader fills only what it read within MAX_READ_MS. */
const TOMBSTONE_SECONDS = 3;
export const MAX_READ_MS = 1_000;
const TOMBSTONE_GOOD_MS = TOMBSTONE_SECONDS * 1000 - MAX_READ_MS - 500;
const IDS_PER_MESSAGE = 500;

/** Drops cached balances of `userIds` and tells all instances. Never throws. */
export type Announce = (userIds: readonly string[]) => Promise<void>;

/** Resolves once the caches are clean; the message to the subscribers may still be on its way. */
export function createAnnounce(deps: {
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly logger: Logger;
}): Announce {
  // A busy user's tombstone from a moment ago still stands: setting it once in a while is enough. By a clock that nobody
  // sets.
  const standing = new LRUCache<string, number>({ max: 20_000 });

  return async (userIds) => {
    const at = performance.now();
    const due = userIds.filter((userId) => (standing.get(userId) ?? 0) <= at);
    try {
      for (let start = 0; start < userIds.length; start += IDS_PER_MESSAGE) {
        const ids = userIds.slice(start, start + IDS_PER_MESSAGE);
        deps.pubsub.publish(CREDIT_CHANNEL, JSON.stringify(ids)).catch((error: unknown) => {
          deps.logger.warn({ err: error }, "a balance change was not announced");
        });
      }
      await Promise.all(
        due.map(async (userId) => {
          const isSet = await deps.cache.set(balanceKey(userId), TOMBSTONE, TOMBSTONE_SECONDS);
          if (isSet) standing.set(userId, at + TOMBSTONE_GOOD_MS);
        }),
      );
    } catch (error) {
      deps.logger.warn({ err: error }, "cached balances could not be dropped");
    }
  };
}
