// A fair queue: first come, first served within each user, and no user starves another.

/** An item that a user is waiting for. */
export interface Queued {
  readonly userId: string;
  /** Grows with every arrival. */
  readonly arrival: number;
}

/** What to take from a queue. */
interface Wanted {
  /** Maximum number of items. */
  readonly most: number;
  readonly mayRun: (userId: string) => boolean;
  /** Takes nothing when fewer users may run. Defaults to 1. */
  readonly minUsers?: number;
  /** When at least this many users may run, leaves half of them for the next call. Defaults to never. */
  readonly halveAbove?: number;
}

/** Waiting items by user. The caller bounds its size. */
export interface FairQueue<Item extends Queued> {
  readonly size: number;
  /** Number of users with waiting items. */
  readonly users: number;
  push(item: Item): void;
  /** Returns items to the head of their user's line, in the given order. */
  putBack(items: readonly Item[]): void;
  /**
   * Removes and returns items of users that may run, in arrival order. When more items wait than may be taken, every
   * user gets an equal share first, and users with items left move to the end of the round.
   */
  take(wanted: Wanted): Item[];
  /** Removes and returns the items that match. */
  remove(fits: (item: Item) => boolean): Item[];
}

/** Creates an empty queue. */
export function createFairQueue<Item extends Queued>(): FairQueue<Item> {
  let lines = new Map<string, Item[]>();
  let size = 0;

  function set(userId: string, line: Item[]): void {
    // Deleting first moves the user to the end of the round.
    lines.delete(userId);
    if (line.length > 0) lines.set(userId, line);
  }

  return {
    get size() {
      return size;
    },
    get users() {
      return lines.size;
    },
    push(item) {
      size += 1;
      const line = lines.get(item.userId);
      if (line === undefined) lines.set(item.userId, [item]);
      else line.push(item);
    },
    putBack(items) {
      size += items.length;
      const byUser = new Map<string, Item[]>();
      for (const item of items) byUser.set(item.userId, [...(byUser.get(item.userId) ?? []), item]);
      for (const [userId, returned] of byUser)
        lines.set(userId, [...returned, ...(lines.get(userId) ?? [])]);
    },
    take({ most, mayRun, minUsers = 1, halveAbove = Number.POSITIVE_INFINITY }) {
      const able = [...lines].filter(([userId]) => mayRun(userId));
      if (able.length < minUsers) return [];
      const ready = able.length < halveAbove ? able : able.slice(0, Math.ceil(able.length / 2));
      const part = size <= most ? most : Math.max(1, Math.floor(most / Math.max(1, ready.length)));
      const taken: Item[] = [];
      for (const equalPart of [part, most]) {
        for (const [userId] of ready) {
          const room = Math.min(equalPart, most - taken.length);
          const line = lines.get(userId);
          if (room <= 0 || line === undefined) continue;
          taken.push(...line.slice(0, room));
          set(userId, line.slice(room));
        }
      }
      size -= taken.length;
      // A long-lived Map retains deleted items (lib/slot-set.ts explains why), so start a new one.
      if (lines.size === 0) lines = new Map();
      return taken.sort((a, b) => a.arrival - b.arrival);
    },
    remove(fits) {
      const removed: Item[] = [];
      for (const [userId, line] of lines) {
        if (!line.some(fits)) continue;
        removed.push(...line.filter(fits));
        const rest = line.filter((item) => !fits(item));
        if (rest.length > 0) lines.set(userId, rest);
        else lines.delete(userId);
      }
      size -= removed.length;
      return removed;
    },
  };
}
