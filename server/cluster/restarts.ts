// How long to wait before a crashed worker is restarted, and when to give up.

/** A worker that lived this long had started well, so whatever ended it is a new problem. */
const SETTLED_MS = 30_000;
/** By the number of early crashes in a row; 0 = the worker had settled. */
const PAUSES_MS = [100, 100, 500, 2_000, 8_000];

/** Returns the milliseconds to wait before restarting a worker that lived this long; null = give up. */
export type PauseAfterCrash = (livedMs: number) => number | null;

/** Counts crashes in one place. Gives up at the fifth in a row that comes within half a minute of the worker's start. */
export function countCrashes(): PauseAfterCrash {
  let early = 0;
  return (livedMs) => {
    early = livedMs < SETTLED_MS ? early + 1 : 0;
    return PAUSES_MS[early] ?? null;
  };
}
