// The audit of the ledger (the doctor): checks every invariant, over any number of rows, in bounded memory, while the
// server runs. It stores how far each user's books are proven, and later audits read only what came after.
import { setTimeout as sleep } from "node:timers/promises";
import { databaseClock } from "../../database/clock.ts";
import type { Database } from "../../database/ports.ts";
import { DAY_MS, HOUR_MS } from "../../lib/time.ts";
import { type AuditStore, createAuditStore, type Trusted } from "./audit.store.ts";
import { auditPage, type Page, type Violation } from "./page.ts";

/** Progress of an audit. */
interface DoctorProgress {
  readonly users: number;
  readonly totalUsers: number;
  readonly violations: number;
}

/** Dependencies of the doctor. */
interface DoctorDeps {
  readonly database: Database;
  readonly onProgress?: (progress: DoctorProgress) => void;
  readonly signal?: AbortSignal;
  /** Maximum number of users per step. Defaults to 1,000. */
  readonly usersPerStep?: number;
  /** Entries or keys per read within a step. Defaults to 5,000. */
  readonly rowsPerRead?: number;
  /** Number of steps run in parallel, each on its own connection. Defaults to 1. */
  readonly concurrency?: number;
  /** Length of the pauses after each step and between its longer reads, relative to the time worked. Defaults to 0. */
  readonly pauseRatio?: number;
  /** Milliseconds since 1970. Defaults to the database's clock: proofs outlive the process and are shared by all. */
  readonly now?: () => number | Promise<number>;
}

/** What an audit covered and found. */
export interface AuditReport {
  /** At most MAX_VIOLATIONS. */
  readonly violations: readonly Violation[];
  /** Whether there may be more violations: the audit stopped at the maximum, or a check of a page reached its limit. */
  readonly isCut: boolean;
  readonly users: number;
  /** Entries read and checked by this audit. */
  readonly provenNow: number;
  /** Entries proven by an earlier audit, which this one only counted. */
  readonly provenEarlier: number;
  /** When the oldest proof it relied on was made; null when it relied on none. */
  readonly since: Date | null;
}

/** An audit stops once it has found this many. */
const MAX_VIOLATIONS = 1_000;
// Above every id: ids are ASCII.
const END = "\u{10FFFF}";
/** A step of more than one user reads at most `usersPerStep` times this many entries. */
const ENTRIES_PER_USER = 20;
/** How long a proof is relied on. Old rows that somebody changed by hand are noticed after this time at the latest. */
const TRUST_MS = 7 * DAY_MS;
/** A proof dated further ahead is not relied on: it would be for longer than that, until its date has passed. */
const AHEAD_MS = HOUR_MS;
/** A ledger with no more entries than this takes seconds, and is always proven as a whole. */
const SMALL_ENTRIES = 100_000;

/** Audits everything from each user's first entry and returns the violations. Stores how far the books are proven. */
export async function auditWholeLedger(deps: DoctorDeps): Promise<readonly Violation[]> {
  return (await auditLedger({ ...deps, whole: true })).violations;
}

/**
 * Audits the ledger. Each statement sees one snapshot, so a running server does not disturb it. Users are taken in
 * ranges of ids, so memory and locks stay small however many rows there are. Unless `whole` is set or the ledger is
 * small (`smallEntries`), entries up to a user's checkpoint are counted but not read, provided that these books were
 * proven as a whole within the last week.
 */
export async function auditLedger(
  deps: DoctorDeps & { readonly whole: boolean; readonly smallEntries?: number },
): Promise<AuditReport> {
  const { database, rowsPerRead = 5_000, now = databaseClock(deps.database) } = deps;
  const store = createAuditStore(database);
  const size = await store.size();
  const isWhole = deps.whole || size.entries <= (deps.smallEntries ?? SMALL_ENTRIES);
  const nowMs = await now();
  const trusted = isWhole
    ? null
    : { from: new Date(nowMs - TRUST_MS), to: new Date(nowMs + AHEAD_MS) };
  const violations: Violation[] = [];
  let isCut = false;
  const report = { users: 0, provenNow: 0, provenEarlier: 0, since: null as Date | null };
  const steps = stepsOf(store, { most: deps.usersPerStep ?? 1_000, trusted, now });
  await runConcurrently(deps.concurrency ?? 1, async () => {
    deps.signal?.throwIfAborted();
    const rest = createPace(deps);
    const step = await steps.next();
    if (step.done === true || violations.length >= MAX_VIOLATIONS) return false;
    const page = await auditPage({ database, store, rowsPerRead, rest }, step.value);
    violations.push(...page.violations);
    isCut ||= page.isCut || violations.length >= MAX_VIOLATIONS;
    report.users += step.value.users.length;
    report.provenNow += page.provenNow;
    report.provenEarlier += page.provenEarlier;
    if (page.since !== null && (report.since === null || page.since < report.since))
      report.since = page.since;
    const found = { users: report.users, violations: violations.length };
    deps.onProgress?.({ ...found, totalUsers: size.users });
    await rest();
    return true;
  });
  return { ...report, isCut, violations: violations.slice(0, MAX_VIOLATIONS) };
}

/** Runs `concurrency` loops that call `work` until one call returns false or rejects. Rethrows the error at the end. */
async function runConcurrently(concurrency: number, work: () => Promise<boolean>): Promise<void> {
  let shouldContinue = true;
  const worker = async () => {
    try {
      while (shouldContinue && (await work()));
    } finally {
      shouldContinue = false;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
}

/** Steps through all users. The ranges have no gaps, so rows of users who do not exist lie in one of them, too. */
async function* stepsOf(
  store: AuditStore,
  { most, trusted, now }: Pick<Required<DoctorDeps>, "now"> & { most: number; trusted: Trusted },
): AsyncGenerator<Page, undefined> {
  for (let from = ""; ; ) {
    const at = new Date(await now());
    const { users, isLast } = await nextUsers(store, from, most, trusted);
    const to = isLast ? END : (users.at(-1)?.id ?? END);
    yield { users, range: { from, to }, at };
    if (isLast) return;
    from = to;
  }
}

/**
 * Returns a function that pauses for `pauseRatio` times the time worked since the last pause, and rejects once `signal`
 * aborts.
 */
function createPace({ pauseRatio = 0, signal }: DoctorDeps): () => Promise<void> {
  let workingSinceMs = performance.now();
  return async () => {
    signal?.throwIfAborted();
    const ms = (performance.now() - workingSinceMs) * pauseRatio;
    if (ms > 0) await sleep(ms, undefined, signal && { signal });
    workingSinceMs = performance.now();
  };
}

/** Returns the users of the next step: at least one, and otherwise no more than a step's limit on entries allows. */
async function nextUsers(store: AuditStore, from: string, most: number, trusted: Trusted) {
  const users = await store.page(from, most, trusted);
  let entries = 0;
  const tooMany = users.findIndex(({ ledgerSeq, checkpoint }) => {
    entries += ledgerSeq - (checkpoint?.seq ?? 0);
    return entries > most * ENTRIES_PER_USER;
  });
  const end = tooMany === -1 ? users.length : Math.max(1, tooMany);
  return { users: users.slice(0, end), isLast: users.length < most && end === users.length };
}
