// The record of one run: a line for everything that happened, and one hash over all of them.
import { createHash } from "node:crypto";

/** What happened, in order. */
export type Trace = ReturnType<typeof createTrace>;

/** An empty record; `startMs` is the virtual time that counts as zero. */
export function createTrace(startMs: number) {
  const lines: string[] = [];
  const hash = createHash("sha256");
  return {
    /** One line; `nowMs` is the virtual time it happened at. */
    add: (nowMs: number, text: string) => {
      const line = `${moment(nowMs - startMs)} ${text}`;
      lines.push(line);
      hash.update(line);
      hash.update("\n");
    },
    /** The last `count` lines, all of them unless told. */
    lines: (count = lines.length) => lines.slice(-count),
    /** Two runs with the same hash did the same, answered the same, in the same order, at the same times. */
    hash: () => hash.copy().digest("base64url").slice(0, 16),
  };
}

/** `3d 07:12:05.120`. */
function moment(ms: number): string {
  const part = (unitMs: number, count: number, digits: number): string =>
    String(Math.floor(ms / unitMs) % count).padStart(digits, "0");
  const days = String(Math.floor(ms / 86_400_000)).padStart(3);
  return `${days}d ${part(3_600_000, 24, 2)}:${part(60_000, 60, 2)}:${part(1_000, 60, 2)}.${part(1, 1_000, 3)}`;
}

/** An answer as the trace has it: short, and the same whatever order its fields came in. */
export function brief(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(brief).join(" ")}]`;
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined && field !== null)
    .map(([name, field]) => `${name}=${brief(field)}`);
  return `{${fields.join(" ")}}`;
}
