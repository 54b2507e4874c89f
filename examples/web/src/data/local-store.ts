// Lists stored in this browser: one localStorage entry per item, so that two tabs never overwrite each other's items.

/** The fields of every stored item. */
export interface Kept {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
}

/** A list of items, newest first. */
export interface LocalStore<Item extends Kept> {
  all(): readonly Item[];
  get(id: string): Item | undefined;
  /** Stores the item. It is written within WRITE_MS, or immediately with `now`. */
  put(item: Item, options?: { now?: boolean }): void;
  remove(id: string): void;
  clear(): void;
  subscribe(listener: () => void): () => void;
  close(): void;
}

/** An answer arrives in about sixty pieces a second, so they are batched for writing and for showing. */
const WRITE_MS = 200;
const SHOW_MS = 40;

/**
 * Opens the list under `prefix`, with at most `max` items. The oldest are evicted, also when the browser's storage is
 * full. Other tabs see a change as soon as it is written. Entries that `isItem` rejects are left alone and not shown.
 */
export function createLocalStore<Item extends Kept>(options: {
  prefix: string;
  max: number;
  isItem: (value: unknown) => value is Item;
}): LocalStore<Item> {
  const { prefix, max, isItem } = options;
  const items = new Map<string, Item>();
  const unwritten = new Set<string>();
  const listeners = new Set<() => void>();
  let sorted: readonly Item[] = [];
  let writeTimer: number | undefined;
  let showTimer: number | undefined;

  function read(name: string): Item | undefined {
    try {
      const value: unknown = JSON.parse(localStorage.getItem(name) ?? "null");
      return isItem(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  function show(): void {
    window.clearTimeout(showTimer);
    showTimer = undefined;
    sorted = [...items.values()].sort((one, other) => other.updatedAt - one.updatedAt);
    for (const listener of listeners) listener();
  }

  function write(): void {
    window.clearTimeout(writeTimer);
    writeTimer = undefined;
    for (const id of unwritten) {
      const item = items.get(id);
      if (item !== undefined) writeOne(item);
    }
    unwritten.clear();
  }

  function writeOne(item: Item): void {
    const text = JSON.stringify(item);
    for (;;) {
      try {
        return localStorage.setItem(prefix + item.id, text);
      } catch {
        // Storage is full or not allowed. Evict an older item; with none left, this one lives only as long as the tab.
        const oldest = sorted.findLast((other) => other.id !== item.id && items.has(other.id));
        if (oldest === undefined) return;
        drop(oldest.id);
      }
    }
  }

  function drop(id: string): void {
    items.delete(id);
    unwritten.delete(id);
    try {
      localStorage.removeItem(prefix + id);
    } catch {
      // Storage is not allowed here, so there is nothing to remove.
    }
    show();
  }

  function otherTab(event: StorageEvent): void {
    if (event.storageArea !== localStorage || !event.key?.startsWith(prefix)) return;
    const id = event.key.slice(prefix.length);
    const item = read(event.key);
    if (item === undefined) items.delete(id);
    else if (!unwritten.has(id)) items.set(id, item);
    show();
  }

  for (const name of storedNames(prefix)) {
    const item = read(name);
    if (item !== undefined) items.set(item.id, item);
  }
  show();
  window.addEventListener("storage", otherTab);
  window.addEventListener("pagehide", write);

  return {
    all: () => sorted,
    get: (id) => items.get(id),
    put(item, { now = false } = {}) {
      const isNew = !items.has(item.id);
      items.set(item.id, item);
      unwritten.add(item.id);
      if (now || isNew) {
        show();
        for (const old of sorted.slice(max)) drop(old.id);
        return write();
      }
      writeTimer ??= window.setTimeout(write, WRITE_MS);
      showTimer ??= window.setTimeout(show, SHOW_MS);
    },
    remove: drop,
    clear() {
      for (const id of [...items.keys()]) drop(id);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      write();
      window.removeEventListener("storage", otherTab);
      window.removeEventListener("pagehide", write);
    },
  };
}

function storedNames(prefix: string): string[] {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(prefix));
  } catch {
    return [];
  }
}
