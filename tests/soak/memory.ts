// What a process holds over time, and how fast that grows.
import { readFile } from "node:fs/promises";

/** One look at a process. */
export interface MemorySample {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Open handles as Node.js counts them: sockets, timers, files. */
  readonly handles: number;
}

/** Reads the resident memory of `pid` and what its /metrics say. Null where it does not answer. */
export async function sampleMemory(pid: number, url: string): Promise<MemorySample | null> {
  const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })
    .then((answer) => answer.text())
    .catch(() => null);
  if (text === null) return null;
  const metric = (name: string): number =>
    Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return {
    atMs: Date.now(),
    rssBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024,
    heapBytes: metric("nodejs_heap_size_used_bytes"),
    handles: metric("nodejs_active_handles_total"),
  };
}

/**
 * Growth in per cent of the mean an hour, by least squares through the lowest value of each window: the floor is what is
 * held, the rest is garbage that was not collected yet.
 */
export function growthPerHour(
  samples: readonly MemorySample[],
  value: (sample: MemorySample) => number,
  windowMs: number,
): number {
  const floors = new Map<number, number>();
  for (const sample of samples) {
    const window = Math.floor(sample.atMs / windowMs);
    floors.set(window, Math.min(floors.get(window) ?? Number.POSITIVE_INFINITY, value(sample)));
  }
  const points = [...floors].map(([window, floor]) => [(window * windowMs) / 3_600_000, floor]);
  const mean = (at: 0 | 1) =>
    points.reduce((sum, point) => sum + (point[at] ?? 0), 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  let above = 0;
  let below = 0;
  for (const [x = 0, y = 0] of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return below === 0 ? 0 : ((above / below) * 100) / meanY;
}
