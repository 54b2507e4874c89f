// What a process holds over time, and how fast that grows.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export const SAMPLE_EVERY_MS = 10_000;

/** One measurement of a process, after a full garbage collection. */
export interface MemorySample {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** The part of the heap that is code compiled by V8. */
  readonly codeBytes: number;
  /** The resources that keep Node.js alive: sockets, timers, files. */
  readonly handles: number;
}

/** The environment that makes a server record what it holds. */
export function heldMemoryEnv(folder: string): Record<string, string> {
  return {
    NODE_OPTIONS: `--import ${new URL("held-memory.mjs", import.meta.url).href}`,
    HELD_MEMORY_EVERY_MS: String(SAMPLE_EVERY_MS),
    HELD_MEMORY_FILE: join(folder, "held-memory.jsonl"),
  };
}

/** Reads what the server with `heldMemoryEnv(folder)` has recorded so far, oldest first. */
export async function readHeldMemory(folder: string): Promise<MemorySample[]> {
  const text = await readFile(heldMemoryEnv(folder)["HELD_MEMORY_FILE"] ?? "", "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as MemorySample);
}

/** Linear growth by least squares: in per cent of the mean per hour, with its standard error. */
export function growthPerHour(
  samples: readonly MemorySample[],
  value: (sample: MemorySample) => number,
) {
  const hours = samples.map(({ atMs }) => atMs / 3_600_000);
  const values = samples.map(value);
  const [meanX, meanY] = [mean(hours), mean(values)];
  const below = sum(hours.map((x) => (x - meanX) ** 2));
  const slope = sum(hours.map((x, at) => (x - meanX) * ((values[at] ?? 0) - meanY))) / below;
  const left = hours.map((x, at) => (values[at] ?? 0) - meanY - slope * (x - meanX));
  const error = Math.sqrt(sum(left.map((one) => one ** 2)) / (samples.length - 2) / below);
  const percent = (perHour: number) => (100 * perHour) / meanY;
  return { perHour: percent(slope), error: percent(error) };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;
