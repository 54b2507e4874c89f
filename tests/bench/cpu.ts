// The CPU and memory of processes, read from /proc: unavailable on systems other than Linux and for servers elsewhere.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The unit of times in /proc, regardless of the kernel's own tick rate (proc(5)). */
const TICKS_PER_SECOND = 100;
const LISTENING = "0A";

/** Processes whose CPU is counted together. */
export interface Metered {
  /** The process's own name, for the reader of a row. */
  readonly name: string;
  /** Microseconds of CPU so far, user and system, of the process and its descendants. Null if unknown. */
  cpuMicroseconds(): number | null;
}

/** The process `pid` and its descendants. */
export function meterProcess(pid: number): Metered {
  return {
    name: `${readText(`/proc/${pid}/comm`)?.trim() ?? "?"} ${pid}`,
    cpuMicroseconds() {
      const all = familyOf(pid).map(cpuOf);
      return all.includes(null) ? null : all.reduce<number>((sum, one) => sum + (one ?? 0), 0);
    },
  };
}

/** Returns the process on this machine that listens at the address of `url`; null if there is none or it is hidden. */
export function meterListener(url: string): Metered | null {
  const { hostname, port, protocol } = new URL(url);
  if (!["127.0.0.1", "localhost", "[::1]"].includes(hostname)) return null;
  const pid = listenerAt(Number(port || (protocol === "redis:" ? 6379 : 3306)));
  return pid === null ? null : meterProcess(pid);
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return null;
  }
}

/** Returns the memory of a process in KiB, current (VmRSS) or at its peak (VmHWM). Null if unknown. */
export function memoryOf(pid: number | undefined, what: "VmRSS" | "VmHWM"): number | null {
  const status = readText(`/proc/${pid}/status`) ?? "";
  const kib = new RegExp(`^${what}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  return kib === undefined ? null : Number(kib);
}

/** Returns the fields of /proc/PID/stat after the name (which may contain spaces): state, parent … */
function statOf(pid: number): string[] | null {
  const text = readText(`/proc/${pid}/stat`);
  return text === null ? null : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function cpuOf(pid: number): number | null {
  const fields = statOf(pid);
  if (fields === null) return null;
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const allPids = () => entriesOf("/proc").map(Number).filter(Number.isInteger);

function familyOf(pid: number): number[] {
  const parents = new Map(allPids().map((one) => [one, Number(statOf(one)?.[1])]));
  const family = [pid];
  for (const member of family)
    family.push(...[...parents].filter(([, parent]) => parent === member).map(([child]) => child));
  return family;
}

function listenerAt(port: number): number | null {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const sockets = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"])
    for (const line of (readText(table) ?? "").split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(suffix) && fields[3] === LISTENING)
        sockets.add(`socket:[${fields[9]}]`);
    }
  return allPids().find((pid) => holdsOne(pid, sockets)) ?? null;
}

function holdsOne(pid: number, sockets: ReadonlySet<string>): boolean {
  const folder = `/proc/${pid}/fd`;
  return entriesOf(folder).some((fd) => {
    try {
      return sockets.has(readlinkSync(`${folder}/${fd}`));
    } catch {
      return false;
    }
  });
}
