import { setTimeout as sleep } from "node:timers/promises";

/** Works at most a third of the time, in batches too short to hold up other requests for long. */
export const DEFAULT_PACE = {
  /** Size of the first batch, in rows. */
  rows: 250,
  minRows: 50,
  maxRows: 2_000,
  /** Batches shrink when one takes longer than this, and grow when one takes less than half of it. */
  batchMs: 40,
  /** Length of the pause after a batch, relative to the batch's duration: a slow database gets longer pauses. */
  pauseRatio: 2,
};

/** How a job works through many rows: the sizes of its batches and the pauses between them. */
export type Pace = Readonly<typeof DEFAULT_PACE>;

/** What a batch did. */
export interface BatchResult {
  readonly rows: number;
  /** True when nothing is left. */
  readonly isLast: boolean;
}

/**
 * Calls `work` for one batch after another until nothing is left or `signal` aborts; a batch in flight is finished.
 * Returns how many rows were processed, and whether nothing is left.
 */
export async function runInBatches(
  signal: AbortSignal,
  work: (rows: number) => Promise<BatchResult>,
  pace: Pace = DEFAULT_PACE,
): Promise<{ rows: number; isDone: boolean }> {
  let rows = 0;
  let size = pace.rows;
  while (!signal.aborted) {
    const startedAtMs = performance.now();
    const batch = await work(size);
    rows += batch.rows;
    if (batch.isLast) return { rows, isDone: true };
    const tookMs = performance.now() - startedAtMs;
    size = nextBatchSize(size, tookMs, pace);
    await sleep(tookMs * pace.pauseRatio, undefined, { signal }).catch(() => undefined);
  }
  return { rows, isDone: false };
}

/** Returns the size of the batch that follows one of `size` rows. */
export function nextBatchSize(size: number, tookMs: number, pace: Pace): number {
  if (tookMs > pace.batchMs) return Math.max(pace.minRows, Math.floor(size / 2));
  if (tookMs < pace.batchMs / 2) return Math.min(pace.maxRows, size * 2);
  return size;
}
