// The order of waiting work: first come, first served for each user, and no user starves another.

/** Something a user waits for. */
export interface Queued {
  readonly userId: string;
  /** Grows with every arrival. */
  readonly arrival: number;
}

/** What is taken from a queue. */
interface Wanted {
  /** Items, at most. */
  readonly most: number;
  readonly mayRun: (userId: string) => boolean;
  /** Nothing is taken where fewer users may run; defaults to 1. */
  readonly leastUsers?: number;
  /** Half of the users are left for the next to take where so many may run; defaults to never. */
  readonly halveFrom?: number;
}

/** Waiting items by user. Bounded by whoever pushes. */
export interface FairQueue<Item extends Queued> {
  readonly size: number;
  /** Users with something waiting. */
  readonly users: number;
  push(item: Item): void;
  /** Gives items back to the head of their user's line, in the order given. */
  putBack(items: readonly Item[]): void;
  /**
   * Items of users that may run, in order of arrival. When there are more than asked for, every user gets an equal part
   * first, and those with something left go to the end of the round.
   */
  take(wanted: Wanted): Item[];
  /** Removes and returns the items that fit. */
  remove(fits: (item: Item) => boolean): Item[];
}

/** An empty queue. */
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
    take({ most, mayRun, leastUsers = 1, halveFrom = Number.POSITIVE_INFINITY }) {
      const able = [...lines].filter(([userId]) => mayRun(userId));
      if (able.length < leastUsers) return [];
      const ready = able.length < halveFrom ? able : able.slice(0, Math.ceil(able.length / 2));
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
      // A Map in use for ever keeps its dead items (lib/slot-set.ts says why); a new one does not.
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
