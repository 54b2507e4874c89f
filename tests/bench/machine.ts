// Describes the machine of a run in one line: figures of different machines are hard to compare.
import {
  availableParallelism,
  cpus,
  loadavg,
  release,
  totalmem,
  type as systemName,
} from "node:os";

const GIB = 1024 ** 3;
const BUSY_LOAD = 0.7;

/** Cores, memory, system, Node.js, and the servers of the run. */
export function describeMachine(servers: readonly string[]): string {
  const model = cpus()[0]?.model.trim() ?? "unknown CPU";
  const memory = `${Math.round(totalmem() / GIB)} GB`;
  const software = [`Node.js ${process.versions.node}`, ...servers].join(", ");
  return `${availableParallelism()} x ${model}, ${memory}, ${systemName()} ${release()}, ${software}`;
}

/** Returns a warning if something else is using the machine; null if it is quiet. */
export function busyWarning(): string | null {
  const [load = 0] = loadavg();
  if (load < BUSY_LOAD) return null;
  return `The machine is busy (load average ${load.toFixed(1)}): compare ratios, not figures.`;
}
