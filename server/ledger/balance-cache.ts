// Publishes balance changes: drops the cached balances and notifies the subscribers of every instance.
import { LRUCache } from "lru-cache";
import type { Cache, PubSub } from "../kv/ports.ts";
import type { Logger } from "../lib/logger.ts";

/** Its messages are JSON arrays of user ids. One channel for all users, and one message per batch (of up to 500). */
export const CREDIT_CHANNEL = "credit-changed";

/** Returns the cache key of a user's balance. The braces keep one user's keys on one node of a Redis Cluster. */
export function balanceKey(userId: string): string {
  return `credit-balance:{${userId}}`;
}

/**
 * What a change puts in the cache instead of deleting the key: a reader that queried the database just before the
 * change and fills the cache (set-if-absent) just after it finds the key taken, so a stale balance is never cached.
 */
export const TOMBSTONE = "changed";
/** A tombstone outlives every read in flight: a reader fills the cache only if its read took less than MAX_READ_MS. */
const TOMBSTONE_SECONDS = 3;
export const MAX_READ_MS = 1_000;
const TOMBSTONE_GOOD_MS = TOMBSTONE_SECONDS * 1000 - MAX_READ_MS - 500;
const IDS_PER_MESSAGE = 500;

/** Drops the cached balances of `userIds` and notifies all instances. Never throws. */
export type Announce = (userIds: readonly string[]) => Promise<void>;

/** Returns an `Announce` that resolves once the cache is clean; the message to subscribers may still be in flight. */
export function createAnnounce(deps: {
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly logger: Logger;
}): Announce {
  // A busy user's recent tombstone is still in place, so it is renewed only now and then. Timed by the monotonic clock,
  // which nobody can set.
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
