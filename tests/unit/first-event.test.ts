// The first event of a stream is awaited, and a stream that has ended leaves no listeners on its caller's signal.
import { getEventListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { awaitFirstEvent } from "../../server/trpc/first-event.ts";

/** Yields `values`, then ends, or fails with `error`. */
async function* sourceOf(values: readonly number[], error?: Error): AsyncGenerator<number> {
  for (const value of values) {
    await sleep(1);
    yield value;
  }
  if (error !== undefined) throw error;
}

async function readAll(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const read: unknown[] = [];
  for await (const value of stream) read.push(value);
  return read;
}

describe("awaitFirstEvent", () => {
  const failed = new Error("failed");
  const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

  it("lets go of the signal when the stream ends by itself", async () => {
    const { signal } = new AbortController();
    const stream = await awaitFirstEvent(sourceOf([1, 2, 3]), signal, vi.fn());
    expect(listeners(signal)).toBe(1);
    expect(await readAll(stream)).toEqual([1, 2, 3]);
    expect(listeners(signal)).toBe(0);
  });

  it("lets go of the signal when the stream fails, and says with what", async () => {
    const { signal } = new AbortController();
    const onFailure = vi.fn();
    const stream = await awaitFirstEvent(sourceOf([1], failed), signal, onFailure);
    await expect(readAll(stream)).rejects.toBe(failed);
    expect(onFailure.mock.calls).toEqual([[failed]]);
    expect(listeners(signal)).toBe(0);
  });

  it("lets go of the signal when the source refuses at its start", async () => {
    const { signal } = new AbortController();
    await expect(awaitFirstEvent(sourceOf([], failed), signal, vi.fn())).rejects.toBe(failed);
    expect(listeners(signal)).toBe(0);
  });

  it("lets go of the signal, and tells the source, when the reader stops early", async () => {
    const { signal } = new AbortController();
    const source = sourceOf([1, 2, 3]);
    for await (const _ of await awaitFirstEvent(source, signal, vi.fn())) break;
    expect(listeners(signal)).toBe(0);
    expect((await source.next()).done).toBe(true);
  });

  it("tells the source when the signal aborts, read or not", async () => {
    const caller = new AbortController();
    const source = sourceOf([1, 2, 3]);
    await awaitFirstEvent(source, caller.signal, vi.fn());
    caller.abort();
    expect((await source.next()).done).toBe(true);
    expect(listeners(caller.signal)).toBe(0);
  });
});
