// The figures a failover suite prints.
import type { Recovery } from "./failover-load.ts";

/** One line: how long errors lasted, at the median and at worst. */
export function recoveryLine(name: string, recoveries: readonly Recovery[]): string {
  const figures = (pick: (recovery: Recovery) => number) => {
    const sorted = recoveries.map(pick).sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    return `${median} / ${sorted.at(-1) ?? 0} ms`;
  };
  return [
    `${name}, ${recoveries.length} times (p50 / max)`,
    `errors for ${figures(({ errorsMs }) => errorsMs)}`,
    `after it could be used again: first success ${figures(({ firstSuccessMs }) => firstSuccessMs)}`,
    `last error ${figures(({ errorsAfterMs }) => errorsAfterMs)}`,
  ].join("; ");
}
