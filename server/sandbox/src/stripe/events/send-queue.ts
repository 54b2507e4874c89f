// The queue that events are sent from: bounded concurrency, plus timers for delayed sends and retries.

/** Queued jobs, jobs in flight, and timers. */
export interface SendQueue {
  push(job: () => Promise<void>): void;
  /** Starts queued jobs while the concurrency limit allows; none during a pause. */
  pump(): void;
  /** Runs `work` later. With `counts`, the queue is not idle until then. */
  later(delayMs: number, counts: boolean, work: () => void): void;
  /** Resolves when nothing is queued or in flight. Jobs queued during a pause do not count until it ends. */
  idle(): Promise<void>;
  /** Aborted by `close`. */
  readonly signal: AbortSignal;
  /** Drops queued jobs and resolves when nothing is in flight. */
  close(): Promise<void>;
}

/** Creates an empty queue. `hasMore` returns whether work is held back elsewhere; `onDone` is called after each job. */
export function createSendQueue(given: {
  concurrency: number;
  isPaused(): boolean;
  hasMore(): boolean;
  onDone(): void;
}): SendQueue {
  const queue: (() => Promise<void>)[] = [];
  const timers = new Set<NodeJS.Timeout>();
  const waiting = new Set<NodeJS.Timeout>();
  const idlers: (() => void)[] = [];
  const stop = new AbortController();
  let inFlight = 0;

  const isIdle = (): boolean =>
    (queue.length === 0 || given.isPaused()) &&
    inFlight === 0 &&
    !given.hasMore() &&
    waiting.size === 0;
  const settle = (): void => {
    if (isIdle()) for (const wake of idlers.splice(0)) wake();
  };
  const pump = (): void => {
    while (!given.isPaused() && inFlight < given.concurrency && !stop.signal.aborted) {
      const job = queue.shift();
      if (job === undefined) break;
      inFlight += 1;
      void job().finally(() => {
        inFlight -= 1;
        given.onDone();
        pump();
      });
    }
    settle();
  };
  return {
    signal: stop.signal,
    push: (job) => {
      queue.push(job);
    },
    pump,
    later: (delayMs, counts, work) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        waiting.delete(timer);
        work();
        settle();
      }, delayMs);
      timer.unref();
      timers.add(timer);
      if (counts) waiting.add(timer);
    },
    idle: () => (isIdle() ? Promise.resolve() : new Promise((wake) => idlers.push(wake))),
    close: async () => {
      stop.abort();
      queue.length = 0;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      waiting.clear();
      while (inFlight > 0) await new Promise((wake) => setTimeout(wake, 5));
      settle();
    },
  };
}
