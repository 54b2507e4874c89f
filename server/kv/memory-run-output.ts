// Output of metered runs kept in this process: the whole store where there is no Redis, and the producer's own copy where
// there is.
import { EventEmitter } from "node:events";
import type { OutputPage, RunOutput } from "./ports.ts";

/** Events handed out in one page; a reader asks again for the rest. */
export const OUTPUT_PAGE_SIZE = 200;

interface RunBuffer {
  readonly events: string[];
  lastReaderAtMs: number | null;
  expiry: NodeJS.Timeout;
}

/** The in-process store with what its owner may look at beside the port. */
export interface MemoryRunOutput extends RunOutput {
  /** Whether the run is produced here and its output still kept. */
  has(runId: string): boolean;
  /** Events from number `fromSeq` on, all of them. */
  eventsFrom(runId: string, fromSeq: number): readonly string[];
  close(): void;
}

/** An empty store. The number of runs is bounded by who begins them, the size of each by who appends. */
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
    // The process that died took the output with it; readers learn the end from the database.
    appendAfterCrash: () => Promise.resolve(),
    read: (runId, afterSeq) => Promise.resolve(page(runId, afterSeq)),
    // Nothing is lost here but with the process.
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
