// The rows of the benchmark: one printed line and one JSON object each.
import { readFile } from "node:fs/promises";
import type { Measured } from "./load.ts";

/** Microseconds of CPU per call, user and system; null if unknown. */
export interface CpuMicros {
  readonly server: number | null;
  readonly database: number | null;
  readonly redis: number | null;
  /** The cost of the callers, on the same cores. */
  readonly callers: number | null;
}

/** A row. `ratio` is relative to the row's baseline in the same run; null for the baselines themselves. */
export interface Row {
  readonly name: string;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ratio: number | null;
  readonly note?: string;
  readonly cpuMicros?: CpuMicros;
}

/** What `--json` writes and `--compare` reads. */
export interface Run {
  /** The database of its rows. */
  readonly engine: string;
  readonly machine: string;
  /** Whether something else was using the machine. */
  readonly busy: boolean;
  /** ISO 8601. */
  readonly date: string;
  readonly rows: readonly Row[];
}

/** Collects rows. */
export type Report = ReturnType<typeof createReport>;

const cell = (value: number | null | undefined, digits: number) =>
  (value === null || value === undefined ? "" : value.toFixed(digits)).padStart(10);
const heading = (...names: string[]) => names.map((name) => name.padStart(10)).join("");

/** Creates a report that prints each row as it is added. */
export function createReport() {
  const rows: Row[] = [];
  console.log(`${"".padEnd(26)}${heading("ops/s", "p50 ms", "p99 ms", "ratio")}`);
  return {
    rows,
    /** Adds a row. `note` explains the ratio. */
    add(
      name: string,
      { opsPerSecond, p50Ms, p99Ms }: Omit<Measured, "operations">,
      ratio: number | null,
      note = "",
      cpuMicros?: CpuMicros,
    ) {
      rows.push({ name, opsPerSecond, p50Ms, p99Ms, ratio, note, cpuMicros });
      const figures = cell(opsPerSecond, 0) + cell(p50Ms, 2) + cell(p99Ms, 2) + cell(ratio, 2);
      console.log(`${name.padEnd(26)}${figures}  ${note}`);
      if (cpuMicros !== undefined) console.log(`${"".padEnd(28)}${cpuLine(cpuMicros)}`);
    },
    /** Prints a line that is not a row. */
    say: (text: string) => console.log(text),
  };
}

function cpuLine(cpu: CpuMicros): string {
  const parts = Object.entries(cpu).flatMap(([who, micros]: [string, number | null]) =>
    micros === null ? [] : [`${who} ${micros.toFixed(0)}`],
  );
  return `CPU a call, us: ${parts.join(", ")}`;
}

/** Reads a file written by `--json` or bench:write; of several runs, the one on `engine`. Throws if there is none. */
export async function readRun(file: string, engine?: string): Promise<Run> {
  const written = JSON.parse(await readFile(file, "utf8")) as Partial<Run> & { runs?: Run[] };
  const runs = written.runs ?? [written];
  const run = runs.find((one) => one.engine === engine) ?? runs[0] ?? {};
  if (!Array.isArray(run.rows)) throw new Error(`${file} was not written by --json.`);
  const unknown = { engine: "unknown", machine: "unknown", busy: false, date: "unknown" };
  return { ...unknown, ...run, rows: run.rows };
}

/** Prints two runs side by side: the rows that both have. */
export function printComparison(then: Run, now: Run): void {
  console.log(`\nthen: ${then.date}, ${then.machine}\nnow:  ${now.date}, ${now.machine}`);
  const columns = heading("ratio then", "now", "ops/s then", "now", "p99 then", "now", "CPU then");
  console.log(`${"".padEnd(26)}${columns}${"now".padStart(10)}`);
  for (const row of now.rows) {
    const old = then.rows.find(({ name }) => name === row.name);
    if (old === undefined) continue;
    const pairs = [
      [old.ratio, row.ratio, 2],
      [old.opsPerSecond, row.opsPerSecond, 0],
      [old.p99Ms, row.p99Ms, 2],
      [old.cpuMicros?.server, row.cpuMicros?.server, 0],
    ] as const;
    const cells = pairs.map(([one, other, digits]) => cell(one, digits) + cell(other, digits));
    console.log(`${row.name.padEnd(26)}${cells.join("")}`);
  }
}
