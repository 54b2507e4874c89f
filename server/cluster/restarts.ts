// How long to wait before a crashed worker is started again, and when to give up.

/** A worker that lived this long had started well: what ends it is a new trouble. */
const SETTLED_MS = 30_000;
const PAUSES_MS = [100, 500, 2_000, 8_000];

/** Milliseconds to wait before the next start of a worker that has lived so long; null = give up. */
export type PauseAfterCrash = (livedMs: number) => number | null;

/** Counts the crashes of one worker's place: gives up when five in a row have lived less than half a minute each. */
export function countCrashes(): PauseAfterCrash {
  let early = 0;
  return (livedMs) => {
    early = livedMs < SETTLED_MS ? early + 1 : 1;
    return PAUSES_MS[early - 1] ?? null;
  };
}
