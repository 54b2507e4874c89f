// Whether the database accepts writes: a server that is read-only after a failover, or whose disk is full, still reads
// well.
import type { DependencyState } from "../lib/dependency-state.ts";
import { classifyDatabaseError } from "./errors.ts";
import type { Database } from "./ports.ts";

/** Name of the probe's row among the jobs' leases; no job has that name. */
const PROBE = "write-probe";

/** Writes one row. Never throws. A conflict with another writer of that row also proves that it can be written. */
export async function probeWrite({ models }: Database): Promise<DependencyState> {
  const at = new Date();
  try {
    await models.jobLease.upsert({
      where: { name: PROBE },
      update: { lastRunAt: at },
      create: { name: PROBE, holder: null, expiresAt: at, lastRunAt: at },
    });
    return { status: "up" };
  } catch (error) {
    const kind = classifyDatabaseError(error);
    if (kind === "conflict" || kind === "unique") return { status: "up" };
    return {
      status: "down",
      detail: "The database answers, and cannot be written.",
      action:
        "See whether its disk is full, it is read-only after a failover, or our user lost its rights.",
    };
  }
}
