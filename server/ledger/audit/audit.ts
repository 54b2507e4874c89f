// The audit of the ledger (the doctor): every invariant, over any number of rows, in bounded memory, while the server
// runs. It remembers for each user how far the books are proven, and afterwards reads only what came later.
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../database/ports.ts";
import { DAY_MS } from "../../lib/time.ts";
import { type AuditStore, createAuditStore } from "./audit.store.ts";
import { auditPage, type Page, type Violation } from "./page.ts";

/** How far the doctor has come. */
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
  /** Users looked at in one step, at most; defaults to 1,000. */
  readonly usersPerStep?: number;
  /** Entries or keys read at once in a step; defaults to 5,000. */
  readonly rowsPerRead?: number;
  /** Steps at once, each on a connection of its own; defaults to one. */
  readonly concurrency?: number;
  /** Rests after each step and between its longer reads, in multiples of the time worked before; defaults to none. */
  readonly pauseRatio?: number;
  /** Milliseconds since 1970; defaults to Date.now. */
  readonly now?: () => number;
}

/** What an audit looked at, and found. */
export interface AuditReport {
  /** At most MAX_VIOLATIONS. */
  readonly violations: readonly Violation[];
  /** There may be more of them: the audit ended at that many, or a check of a page said no more than it may. */
  readonly isCut: boolean;
  readonly users: number;
  /** Entries read and checked now. */
  readonly provenNow: number;
  /** Entries an earlier audit proved, which were only counted now. */
  readonly provenEarlier: number;
  /** When the oldest of the proofs it relied on was made; null when it relied on none. */
  readonly since: Date | null;
}

/** An audit that has found so many ends there. */
const MAX_VIOLATIONS = 1_000;
// Above every id: ids are ASCII.
const END = "\u{10FFFF}";
/** Later than every proof. */
const FAR_FUTURE = new Date(Date.UTC(9999, 0));
/** A step of several users reads at most so many entries for each user it may have. */
const ENTRIES_PER_USER = 20;
/** A proof is relied on for so long: what is done to old rows by hand is seen after that at the latest. */
const TRUST_MS = 7 * DAY_MS;
/** Books as small as this take seconds, and are always proven whole. */
const SMALL_ENTRIES = 100_000;

/** Everything that is wrong, from the first entry of every user on; remembers how far the books are proven. */
export async function auditWholeLedger(deps: DoctorDeps): Promise<readonly Violation[]> {
  return (await auditLedger({ ...deps, whole: true })).violations;
}

/**
 * Audits the ledger. Each statement sees one moment, so a running server does not disturb it; users are taken in ranges
 * of ids, so memory and locks stay small however many rows there are. Unless `whole`, entries up to a user's checkpoint
 * are counted, not read, while the checkpoint is younger than a week and the books are not small (`smallEntries`).
 */
export async function auditLedger(
  deps: DoctorDeps & { readonly whole: boolean; readonly smallEntries?: number },
): Promise<AuditReport> {
  const { database, rowsPerRead = 5_000, now = Date.now } = deps;
  const store = createAuditStore(database);
  const size = await store.size();
  const isWhole = deps.whole || size.entries <= (deps.smallEntries ?? SMALL_ENTRIES);
  const trustedFrom = isWhole ? FAR_FUTURE : new Date(now() - TRUST_MS);
  const violations: Violation[] = [];
  let isCut = false;
  const report = { users: 0, provenNow: 0, provenEarlier: 0, since: null as Date | null };
  const steps = stepsOf(store, { most: deps.usersPerStep ?? 1_000, trustedFrom, now });
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

/** Calls `work` so many times at once until it answers false; an error of one call ends all, and is thrown then. */
async function runConcurrently(concurrency: number, work: () => Promise<boolean>): Promise<void> {
  let goesOn = true;
  const worker = async () => {
    try {
      while (goesOn && (await work()));
    } finally {
      goesOn = false;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
}

/** Steps through all users. Their ranges leave no gap: rows of users who are not there lie in one of them, too. */
async function* stepsOf(
  store: AuditStore,
  { most, trustedFrom, now }: { most: number; trustedFrom: Date; now: () => number },
): AsyncGenerator<Page, undefined> {
  for (let from = ""; ; ) {
    const at = new Date(now());
    const { users, isLast } = await nextUsers(store, from, most, trustedFrom);
    const to = isLast ? END : (users.at(-1)?.id ?? END);
    yield { users, range: { from, to }, at };
    if (isLast) return;
    from = to;
  }
}

/** What it returns rests `pauseRatio` times as long as was worked since the last rest, and throws once `signal` aborts. */
function createPace({ pauseRatio = 0, signal }: DoctorDeps): () => Promise<void> {
  let workingSinceMs = performance.now();
  return async () => {
    signal?.throwIfAborted();
    const ms = (performance.now() - workingSinceMs) * pauseRatio;
    if (ms > 0) await sleep(ms, undefined, signal && { signal });
    workingSinceMs = performance.now();
  };
}

/** The users of the next step: as many as have no more entries to be read than a step may, and one at least. */
async function nextUsers(store: AuditStore, from: string, most: number, trustedFrom: Date) {
  const users = await store.page(from, most, trustedFrom);
  let entries = 0;
  const tooMany = users.findIndex(({ ledgerSeq, checkpoint }) => {
    entries += ledgerSeq - (checkpoint?.seq ?? 0);
    return entries > most * ENTRIES_PER_USER;
  });
  const end = tooMany === -1 ? users.length : Math.max(1, tooMany);
  return { users: users.slice(0, end), isLast: users.length < most && end === users.length };
}
