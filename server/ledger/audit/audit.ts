// The audit of the ledger (the doctor): every invariant, over any number of rows, in bounded memory, while the server runs.
import type { Database } from "../../database/ports.ts";
import { doctorChecks, ENTRY_COUNTS } from "./checks.ts";
import { wrongKeys } from "./keys.ts";

/** One thing that is wrong. */
export interface Violation {
  /** The invariant of CONTRACT.md section 6, in words. */
  readonly invariant: string;
  readonly userId: string;
  readonly detail: string;
}

/** How far the doctor has come. */
export interface DoctorProgress {
  readonly users: number;
  readonly totalUsers: number;
  readonly violations: number;
}

/** Dependencies of the doctor. */
export interface DoctorDeps {
  readonly database: Database;
  readonly onProgress?: (progress: DoctorProgress) => void;
  readonly signal?: AbortSignal;
  /** Users looked at in one statement; defaults to 500. */
  readonly usersPerStep?: number;
}

const MAX_VIOLATIONS = 1_000;
const MAX_PER_STATEMENT = 100;
// Above every id: ids are ASCII.
const END = "\u{10FFFF}";

/**
 * Everything that is wrong, at most 1,000 things. Each statement sees one moment, so a running server does not disturb
 * it; users are taken in ranges of ids, so memory and locks stay small however many rows there are.
 */
export async function runDoctor(deps: DoctorDeps): Promise<Violation[]> {
  const { models, dialect } = deps.database;
  const step = deps.usersPerStep ?? 500;
  const checks = doctorChecks(dialect);
  const totalUsers = await models.user.count();
  const violations: Violation[] = [];
  let users = 0;
  let from = "";
  for (;;) {
    deps.signal?.throwIfAborted();
    const next = await models.user.findMany({
      where: { id: { gt: from } },
      orderBy: { id: "asc" },
      take: step,
      select: { id: true },
    });
    const last = next.length < step;
    // The ranges leave no gap between them: rows of users who are not there lie in one of them, too.
    const to = last ? END : (next.at(-1)?.id ?? END);
    for (const { invariant, sql } of checks) {
      const range = Array.from({ length: sql.split("?").length - 1 }, (_, i) =>
        i % 2 ? to : from,
      );
      const rows = await models.$queryRawUnsafe<{ userId: string; detail: string }[]>(
        `${sql} LIMIT ${MAX_PER_STATEMENT}`,
        ...range,
      );
      for (const row of rows)
        violations.push({ invariant, userId: row.userId, detail: String(row.detail) });
    }
    violations.push(...(await wrongCounts(deps.database, from, to)));
    violations.push(...(await wrongKeys(deps.database, from, to)));
    users += next.length;
    deps.onProgress?.({ users, totalUsers, violations: violations.length });
    if (last || violations.length >= MAX_VIOLATIONS) return violations.slice(0, MAX_VIOLATIONS);
    from = to;
  }
}

async function wrongCounts({ models }: Database, from: string, to: string): Promise<Violation[]> {
  const rows = await models.$queryRawUnsafe<
    { userId: string; entryCounts: string | null; type: string | null; n: number | bigint }[]
  >(ENTRY_COUNTS, from, to, from, to);
  const counted = new Map<string, { stored: string; counts: Record<string, number> }>();
  // Users come before their entries; entries of nobody are another check's.
  for (const { userId, entryCounts, type, n } of rows) {
    if (entryCounts !== null) counted.set(userId, { stored: entryCounts, counts: {} });
    const user = counted.get(userId);
    if (user !== undefined && type !== null) user.counts[type] = Number(n);
  }
  const wrong: Violation[] = [];
  for (const [userId, { stored, counts }] of counted) {
    if (isSame(stored, counts)) continue;
    const detail = `entryCounts ${stored}, counted ${JSON.stringify(counts)}`;
    wrong.push({ invariant: "1 balance: entries are counted by type", userId, detail });
  }
  return wrong;
}

function isSame(stored: string, counts: Record<string, number>): boolean {
  try {
    const known = JSON.parse(stored) as Record<string, number>;
    const types = new Set([...Object.keys(known), ...Object.keys(counts)]);
    return [...types].every((type) => (known[type] ?? 0) === (counts[type] ?? 0));
  } catch {
    return false;
  }
}
