// Output of metered runs, kept in this process: the whole store where there is no Redis, and the producer's own copy
// where there is one.
import { EventEmitter } from "node:events";
import type { OutputPage, RunOutput } from "./ports.ts";

/** Events per page; a reader calls again for the rest. */
export const OUTPUT_PAGE_SIZE = 200;

interface RunBuffer {
  readonly events: string[];
  lastReaderAtMs: number | null;
  expiry: NodeJS.Timeout;
}

/** The in-process store, with what its owner needs beyond the port. */
export interface MemoryRunOutput extends RunOutput {
  /** Whether the run is produced here and its output is still kept. */
  has(runId: string): boolean;
  /** Returns all events from number `fromSeq` on. */
  eventsFrom(runId: string, fromSeq: number): readonly string[];
  close(): void;
}

/**
 * Creates an empty store. It sets no limits itself: callers of `begin` bound the number of runs, callers of `append`
 * the size of each.
 */
export function createMemoryRunOutput(): MemoryRunOutput {
  const buffers = new Map<string, RunBuffer>();
  const appended = new EventEmitter().setMaxListeners(0);

  function expireIn(runId: string, ttlSeconds: number): NodeJS.Timeout {
    const timer = setTimeout(() => buffers.delete(runId), ttlSeconds * 1000);
    timer.unref();
    return timer;
  }

  function page(runId: string, afterSeq: number): OutputPage {
    const buffer = buffers.get(runId);
    if (buffer === undefined) return { events: [], lastSeq: 0, reachable: true, isProducer: false };
    const events = buffer.events
      .slice(afterSeq, afterSeq + OUTPUT_PAGE_SIZE)
      .map((data, index) => ({ seq: afterSeq + index + 1, data }));
    return { events, lastSeq: buffer.events.length, reachable: true, isProducer: true };
  }

  return {
    isShared: false,
    has: (runId) => buffers.has(runId),
    eventsFrom: (runId, fromSeq) => buffers.get(runId)?.events.slice(fromSeq - 1) ?? [],
    begin(runId, ttlSeconds) {
      buffers.set(runId, {
        events: [],
        lastReaderAtMs: null,
        expiry: expireIn(runId, ttlSeconds),
      });
    },
    append(runId, data) {
      const buffer = buffers.get(runId);
      if (buffer === undefined) return 0;
      const seq = buffer.events.push(data);
      appended.emit(runId);
      return seq;
    },
    finish(runId, ttlSeconds) {
      const buffer = buffers.get(runId);
      if (buffer === undefined) return;
      clearTimeout(buffer.expiry);
      buffer.expiry = expireIn(runId, ttlSeconds);
    },
    // A dead process took its output with it; readers learn of the run's end from the database.
    appendAfterCrash: () => Promise.resolve(),
    read: (runId, afterSeq) => Promise.resolve(page(runId, afterSeq)),
    // Here nothing is lost unless the process itself is.
    requestMissing: () => Promise.resolve(),
    watch(runId, listener) {
      appended.on(runId, listener);
      return Promise.resolve(() => {
        appended.off(runId, listener);
        return Promise.resolve();
      });
    },
    noteReader(runId) {
      const buffer = buffers.get(runId);
      if (buffer !== undefined) buffer.lastReaderAtMs = performance.now();
      return Promise.resolve();
    },
    lastReaderAt: (runId) => Promise.resolve(buffers.get(runId)?.lastReaderAtMs ?? null),
    close() {
      for (const { expiry } of buffers.values()) clearTimeout(expiry);
      buffers.clear();
      appended.removeAllListeners();
    },
  };
}
