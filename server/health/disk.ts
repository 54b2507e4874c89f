// Space for the embedded database's file.
import type { DiskSpace } from "../database/ports.ts";
import type { DependencyState } from "../lib/dependency-state.ts";

const MEGABYTE = 1_000_000;
/** SQLite keeps a write-ahead log of up to 64 MiB (`journal_size_limit`). */
const DEGRADED_BELOW_BYTES = 500 * MEGABYTE;
const DEGRADED_BELOW_SHARE = 0.05;
/** A small write may still fit into the log's existing pages; the next batch would not. */
const DOWN_BELOW_BYTES = 5 * MEGABYTE;

/**
 * Returns the state for the space that is left. A small disk is not degraded for being small: a twentieth of it has to
 * be free.
 */
export function diskState({ freeBytes, totalBytes }: DiskSpace): DependencyState {
  const floorBytes = Math.min(
    DEGRADED_BELOW_BYTES,
    Math.max(2 * DOWN_BELOW_BYTES, totalBytes * DEGRADED_BELOW_SHARE),
  );
  if (freeBytes >= floorBytes) return { status: "up" };
  const isFull = freeBytes < DOWN_BELOW_BYTES;
  return {
    status: isFull ? "down" : "degraded",
    detail: `${Math.floor(freeBytes / MEGABYTE)} MB are left on the disk of the database file.`,
    action: "Free space or enlarge the disk; the database needs room for its log and its growth.",
  };
}
