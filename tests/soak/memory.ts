// What a process holds over time, and how fast that grows.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export const SAMPLE_EVERY_MS = 10_000;

/** One look at a process, all garbage collected. */
export interface MemorySample {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** What of the heap is code, compiled by V8. */
  readonly codeBytes: number;
  /** What keeps Node.js alive: sockets, timers, files. */
  readonly handles: number;
}

/** The environment that makes a server write down what it holds. */
export function heldMemoryEnv(folder: string): Record<string, string> {
  return {
    NODE_OPTIONS: `--import ${new URL("held-memory.mjs", import.meta.url).href}`,
    HELD_MEMORY_EVERY_MS: String(SAMPLE_EVERY_MS),
    HELD_MEMORY_FILE: join(folder, "held-memory.jsonl"),
  };
}

/** What the server with `heldMemoryEnv(folder)` has written so far, oldest first. */
export async function readHeldMemory(folder: string): Promise<MemorySample[]> {
  const text = await readFile(heldMemoryEnv(folder)["HELD_MEMORY_FILE"] ?? "", "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as MemorySample);
}

/** Growth by least squares: in per cent of the mean an hour, with its standard error. */
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
