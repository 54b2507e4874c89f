// Notices when this process was stalled. What the log says about others at such a moment is this process's own doing.
import { Counter, type Registry } from "prom-client";
import type { Logger } from "../lib/logger.ts";

const CHECK_INTERVAL_MS = 500;
/** Long enough for another system to have been blamed: Redis is given 400 ms. */
const STALL_MS = 300;

/** Registers the counters of stalls and returns a function that counts one. */
export function countStalls(registry: Registry): (seconds: number) => void {
  const stalls = new Counter({
    name: "event_loop_stalls_total",
    help: `Times this process stood still for more than ${STALL_MS} ms.`,
    registers: [registry],
  });
  const seconds = new Counter({
    name: "event_loop_stall_seconds_total",
    help: "How long it stood still in them.",
    registers: [registry],
  });
  return (stalledSeconds) => {
    stalls.inc();
    seconds.inc(stalledSeconds);
  };
}

/**
 * Checks the clock twice a second, and logs and passes to `onStall` by how much a check was late. Returns a function
 * that stops it.
 */
export function watchEventLoop(logger: Logger, onStall: (seconds: number) => void): () => void {
  let dueAtMs = performance.now() + CHECK_INTERVAL_MS;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const stalledMs = Math.round(nowMs - dueAtMs);
    dueAtMs = nowMs + CHECK_INTERVAL_MS;
    if (stalledMs < STALL_MS) return;
    logger.warn({ stalledMs }, "the event loop was blocked: this process did nothing meanwhile");
    onStall(stalledMs / 1000);
  }, CHECK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
