// Measuring: a closed loop of concurrent callers, every latency recorded, and their summary.

/** The summary of a run. */
export interface Measured {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Concurrent callers, each starting its next call when the previous one is answered. */
interface Loop {
  readonly inFlight: number;
  /** Checked before each call. */
  readonly shouldContinue: () => boolean;
  readonly work: (caller: number, index: number) => Promise<unknown>;
}

/** Passes the duration of each call in milliseconds to `record`; resolves with the total time in seconds. */
export async function recordLoop(loop: Loop, record: (ms: number) => void): Promise<number> {
  const startedAt = performance.now();
  let index = 0;
  await Promise.all(
    Array.from({ length: loop.inFlight }, async (_, caller) => {
      while (loop.shouldContinue()) {
        const sentAt = performance.now();
        await loop.work(caller, index++);
        record(performance.now() - sentAt);
      }
    }),
  );
  return (performance.now() - startedAt) / 1000;
}

/** Every latency of a loop, and the seconds it took. */
export interface Latencies {
  readonly latencies: readonly number[];
  readonly seconds: number;
}

/** Runs a loop and records every latency. */
export async function latenciesOf(loop: Loop): Promise<Latencies> {
  const latencies: number[] = [];
  const seconds = await recordLoop(loop, (ms) => latencies.push(ms));
  return { latencies, seconds };
}

/** Runs a loop for `seconds`. */
export async function closedLoop({
  seconds,
  ...loop
}: Omit<Loop, "shouldContinue"> & { readonly seconds: number }): Promise<Measured> {
  const taken = await latenciesOf({ ...loop, shouldContinue: forSeconds(seconds) });
  return summarise(taken.latencies, taken.seconds);
}

/** Returns a function that returns true for that long. */
export function forSeconds(seconds: number): () => boolean {
  const endsAt = performance.now() + seconds * 1000;
  return () => performance.now() < endsAt;
}

/** Summarises latencies in milliseconds. `seconds` is the time they took; without it the rate is meaningless. */
export function summarise(latencies: readonly number[], seconds = 1): Measured {
  const sorted = [...latencies].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return {
    operations: sorted.length,
    opsPerSecond: sorted.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

const TURNS = 3;

/** Measures two things alternately, so that other load affects both; resolves with the median run of each. */
export async function inTurns(one: () => Promise<Measured>, other: () => Promise<Measured>) {
  const runs: Measured[] = [];
  const others: Measured[] = [];
  for (let turn = 0; turn < TURNS; turn += 1) {
    runs.push(await one());
    others.push(await other());
  }
  return [middle(runs), middle(others)] as const;
}

/** Returns the median of several runs, by speed: one run on a busy machine is no measurement. */
export function middle(runs: readonly Measured[]): Measured {
  const sorted = [...runs].sort((a, b) => a.opsPerSecond - b.opsPerSecond);
  const found = sorted[Math.floor((sorted.length - 1) / 2)];
  if (found === undefined) throw new Error("nothing was measured");
  return found;
}
