// Owns the rows of the benchmark: one printed line and one JSON object each (CONTRACT.md section 8).
import { writeFile } from "node:fs/promises";
import type { Measured } from "./load.ts";

/** A row. `ratio` is against the row's baseline in the same run; null for the baselines themselves. */
export interface Row {
  readonly name: string;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ratio: number | null;
}

/** Collects rows. */
export interface Report {
  /** `note` says what the ratio means. */
  add(
    name: string,
    measured: Omit<Measured, "operations">,
    ratio: number | null,
    note?: string,
  ): void;
  /** A line that is no row. */
  say(text: string): void;
  save(file: string): Promise<void>;
}

/** A report that prints as it grows. */
export function createReport(): Report {
  const rows: Row[] = [];
  const number = (value: number, digits: number) => value.toFixed(digits).padStart(10);
  console.log(
    `${"".padEnd(26)}${"ops/s".padStart(10)}${"p50 ms".padStart(10)}${"p99 ms".padStart(10)}${"ratio".padStart(10)}`,
  );
  return {
    add(name, { opsPerSecond, p50Ms, p99Ms }, ratio, note = "") {
      rows.push({ name, opsPerSecond, p50Ms, p99Ms, ratio });
      const figures = number(opsPerSecond, 0) + number(p50Ms, 2) + number(p99Ms, 2);
      console.log(
        `${name.padEnd(26)}${figures}${ratio === null ? "".padStart(10) : number(ratio, 2)}  ${note}`,
      );
    },
    say: (text) => console.log(text),
    save: (file) => writeFile(file, `${JSON.stringify({ rows }, null, 2)}\n`),
  };
}
