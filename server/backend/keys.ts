// Owns the shape of keys in the key-value store.

/**
 * A key of one user. The braces make Redis Cluster keep all of a user's keys on one node, so that they can be used
 * together in one round trip.
 */
export function userKey(userId: string, name: string): string {
  return `{${userId}}:${name}`;
}
