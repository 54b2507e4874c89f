// The order of everything: one queue of what happens next, each at its own virtual moment, one after the other.

/** A simulated process. What it waits for is never answered once it is dead. */
export interface Process {
  readonly name: string;
  alive: boolean;
}

/** The process died while this was under way. Only code inside a transaction sees it: the transaction has to end. */
export class ProcessDied extends Error {
  override readonly name = "ProcessDied";
}

/** Nothing the process waits for: it is dead. */
export function silence<T>(): Promise<T> {
  return new Promise(() => undefined);
}

/** The queue and the clock it moves. */
export type Scheduler = ReturnType<typeof createScheduler>;

interface Due {
  readonly atMs: number;
  /** Grows with every entry: of two at the same moment the older one comes first. */
  readonly order: number;
  readonly owner: Process | null;
  readonly work: () => void;
  /** For waits inside a transaction. */
  readonly died: (() => void) | null;
}

const MAX_HAPPENINGS = 300_000;
const realImmediate = setImmediate;

/** Everything that can go on by itself (promises, ticks) has gone on: what is left waits for the queue. */
function rest(): Promise<void> {
  return new Promise((resolve) => {
    realImmediate(resolve);
  });
}

/** An empty queue at `startMs`. `afterEach` is called when the consequences of each happening have come to rest. */
export function createScheduler(startMs: number, afterEach: () => void) {
  const queue = new Set<Due>();
  let nowMs = startMs;
  let order = 0;
  let happened = 0;

  function add(
    delayMs: number,
    owner: Process | null,
    work: () => void,
    died: (() => void) | null,
  ): () => void {
    order += 1;
    const due: Due = { atMs: nowMs + Math.max(0, delayMs), order, owner, work, died };
    queue.add(due);
    return () => queue.delete(due);
  }

  function next(): Due | null {
    let first: Due | null = null;
    for (const due of queue)
      if (
        first === null ||
        due.atMs < first.atMs ||
        (due.atMs === first.atMs && due.order < first.order)
      )
        first = due;
    return first;
  }

  async function happen(due: Due): Promise<void> {
    queue.delete(due);
    nowMs = Math.max(nowMs, due.atMs);
    happened += 1;
    if (happened > MAX_HAPPENINGS) throw new Error(`no end after ${MAX_HAPPENINGS} happenings`);
    due.work();
    await rest();
    afterEach();
  }

  return {
    /** Milliseconds since 1970, virtual. Moves only with the queue. */
    get nowMs() {
      return nowMs;
    },
    /** What has happened so far, in number. */
    get happened() {
      return happened;
    },
    /** Does `work` `delayMs` from now, unless `owner` has died or the answered function was called before. */
    after: (delayMs: number, owner: Process | null, work: () => void) =>
      add(delayMs, owner, work, null),
    /**
     * `owner` waits `delayMs`. When it has died meanwhile: for ever, or with ProcessDied where `inTransaction`.
     */
    wait: (delayMs: number, owner: Process, inTransaction = false): Promise<void> => {
      if (!owner.alive)
        return inTransaction ? Promise.reject(new ProcessDied(owner.name)) : silence();
      return new Promise((resolve, reject) => {
        const died = () => reject(new ProcessDied(owner.name));
        add(delayMs, owner, resolve, inTransaction ? died : null);
      });
    },
    /** Ends a process: its timers go, its waits are never answered. */
    kill: (owner: Process) => {
      owner.alive = false;
      for (const due of [...queue]) {
        if (due.owner !== owner) continue;
        queue.delete(due);
        due.died?.();
      }
    },
    /** Lets everything happen that is due up to `untilMs`, then stands there. */
    runUntil: async (untilMs: number) => {
      await rest();
      for (let due = next(); due !== null && due.atMs <= untilMs; due = next()) await happen(due);
      nowMs = Math.max(nowMs, untilMs);
    },
    /** Lets things happen until `done`; throws when nothing is left to happen before that. */
    runWhile: async (busy: () => boolean) => {
      await rest();
      while (busy()) {
        const due = next();
        if (due === null) throw new Error("nothing is left to happen, and something still waits");
        await happen(due);
      }
    },
  };
}
