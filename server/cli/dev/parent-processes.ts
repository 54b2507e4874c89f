// Detects that the process that ran `npm run dev` is gone: npm forwards no signal when it is killed outright.
import { execFileSync } from "node:child_process";

const CHECK_INTERVAL_MS = 500;
const MAX_ANCESTORS = 5;

/** Returns the process ids from our parent up to npm; empty when npm did not start us or that cannot be determined. */
function ancestorsUpToNpm(): number[] {
  if (process.env["npm_lifecycle_event"] === undefined) return [];
  const found: number[] = [];
  let pid = process.ppid;
  try {
    while (found.length < MAX_ANCESTORS && pid > 1) {
      found.push(pid);
      const line = execFileSync("ps", ["-o", "ppid=,comm=", "-p", String(pid)], {
        encoding: "utf8",
      });
      const [, parent, name] = /^\s*(\d+)\s+(.*)$/.exec(line.trimEnd()) ?? [];
      if (name?.startsWith("npm")) return found;
      pid = Number(parent ?? 0);
    }
  } catch {
    // No `ps` here: Ctrl-C, which reaches the whole group, still works.
  }
  return [];
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Calls `onGone` once when a process between us and npm has ended. */
export function watchParentProcesses(onGone: () => void): void {
  const ancestors = ancestorsUpToNpm();
  if (ancestors.length === 0) return;
  const timer = setInterval(() => {
    if (ancestors.every(isAlive)) return;
    clearInterval(timer);
    onGone();
  }, CHECK_INTERVAL_MS);
  timer.unref();
}
