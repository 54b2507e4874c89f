import { setTimeout as sleep } from "node:timers/promises";

/** How a job works through much: in pieces, resting between them. */
export interface Pace {
  /** Rows of a first piece. */
  readonly rows: number;
  readonly minRows: number;
  readonly maxRows: number;
  /** Pieces become smaller when one takes longer, larger when it takes less than half of it. */
  readonly pieceMs: number;
  /** A rest, in durations of the piece before it: what the database is slow at is done more slowly still. */
  readonly rests: number;
}

/** A third of the time at most, in pieces nobody waits long for. */
export const GENTLE: Pace = { rows: 250, minRows: 50, maxRows: 2_000, pieceMs: 40, rests: 2 };

/** What a piece came to. */
export interface Piece {
  readonly rows: number;
  /** True when nothing is left. */
  readonly isLast: boolean;
}

/**
 * Calls `work` for one piece after another until nothing is left or `signal` aborts; a piece under way is finished.
 * Answers how many rows there were, and whether all is done.
 */
export async function inPieces(
  signal: AbortSignal,
  work: (rows: number) => Promise<Piece>,
  pace: Pace = GENTLE,
): Promise<{ rows: number; isDone: boolean }> {
  let rows = 0;
  let size = pace.rows;
  while (!signal.aborted) {
    const startedAtMs = Date.now();
    const piece = await work(size);
    rows += piece.rows;
    if (piece.isLast) return { rows, isDone: true };
    const tookMs = Math.max(0, Date.now() - startedAtMs);
    size = nextSize(size, tookMs, pace);
    await sleep(tookMs * pace.rests, undefined, { signal }).catch(() => undefined);
  }
  return { rows, isDone: false };
}

/** The size of the piece that follows one of `size` rows. */
export function nextSize(size: number, tookMs: number, pace: Pace): number {
  if (tookMs > pace.pieceMs) return Math.max(pace.minRows, Math.floor(size / 2));
  if (tookMs < pace.pieceMs / 2) return Math.min(pace.maxRows, size * 2);
  return size;
}
