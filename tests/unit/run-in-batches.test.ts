// Jobs do long work in batches: how large each one is, and when they stop.
import { describe, expect, test } from "vitest";
import { DEFAULT_PACE, nextBatchSize, runInBatches } from "../../server/jobs/run-in-batches.ts";

const never = new AbortController().signal;

describe("pieces", () => {
  test("become smaller where they take long, larger where they do not, within bounds", () => {
    const sizes = (tookMs: number, from: number) => {
      let size = from;
      for (let n = 0; n < 20; n += 1) size = nextBatchSize(size, tookMs, DEFAULT_PACE);
      return size;
    };
    expect(sizes(10_000, DEFAULT_PACE.rows)).toBe(DEFAULT_PACE.minRows);
    expect(sizes(0, DEFAULT_PACE.rows)).toBe(DEFAULT_PACE.maxRows);
    expect(sizes(DEFAULT_PACE.batchMs * 0.75, 300)).toBe(300);
  });

  test("go on until the last, and stop between two when told to", async () => {
    const stop = new AbortController();
    let pieces = 0;
    const work = (rows: number) => {
      pieces += 1;
      if (pieces === 3) stop.abort();
      return Promise.resolve({ rows, isLast: pieces === 5 });
    };
    expect(await runInBatches(stop.signal, work)).toMatchObject({ isDone: false });
    expect(pieces).toBe(3);
    expect(await runInBatches(never, work)).toMatchObject({ isDone: true });
    expect(pieces).toBe(5);
    expect(await runInBatches(stop.signal, work)).toEqual({ rows: 0, isDone: false });
  });
});
