// Measuring: a closed loop of so many callers, every latency kept, and what they come to.

/** What a run came to. */
export interface Measured {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Calls `work` from `inFlight` callers for `seconds`, each starting its next call when the last one is answered. */
export async function closedLoop(options: {
  readonly inFlight: number;
  readonly seconds: number;
  readonly work: (caller: number, index: number) => Promise<unknown>;
}): Promise<Measured> {
  const latencies: number[] = [];
  const startedAt = performance.now();
  const endsAt = startedAt + options.seconds * 1000;
  let index = 0;
  await Promise.all(
    Array.from({ length: options.inFlight }, async (_, caller) => {
      while (performance.now() < endsAt) {
        const sentAt = performance.now();
        await options.work(caller, index++);
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  return summarise(latencies, (performance.now() - startedAt) / 1000);
}

/** Latencies in milliseconds, taken in `seconds`. */
export function summarise(latencies: readonly number[], seconds: number): Measured {
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

/** Measures two things in turns, so that what else the machine does meets both; answers the middle run of each. */
export async function inTurns(one: () => Promise<Measured>, other: () => Promise<Measured>) {
  const runs: Measured[] = [];
  const others: Measured[] = [];
  for (let turn = 0; turn < TURNS; turn += 1) {
    runs.push(await one());
    others.push(await other());
  }
  return [middle(runs), middle(others)] as const;
}

/** The middle one of several runs, by speed: one run on a busy machine is no measurement. */
export function middle(runs: readonly Measured[]): Measured {
  const sorted = [...runs].sort((a, b) => a.opsPerSecond - b.opsPerSecond);
  const found = sorted[Math.floor((sorted.length - 1) / 2)];
  if (found === undefined) throw new Error("nothing was measured");
  return found;
}
