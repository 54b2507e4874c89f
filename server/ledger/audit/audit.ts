// The audit of the ledger (the doctor): every invariant, over any number of rows, in bounded memory, while the server
// runs. It remembers for each user how far the books are proven, and afterwards reads only what came later.
import type { Database } from "../../database/ports.ts";
import {
  type AuditedUser,
  type AuditStore,
  type Checkpoint,
  createAuditStore,
  type Proof,
  type Range,
  type Sums,
} from "./audit.store.ts";
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
  /** Milliseconds since 1970; defaults to Date.now. */
  readonly now?: () => number;
}

/** What an audit looked at, and found. */
export interface AuditReport {
  /** At most 1,000. */
  readonly violations: readonly Violation[];
  readonly users: number;
  /** Entries read and checked now. */
  readonly provenNow: number;
  /** Entries an earlier audit proved, which were only counted now. */
  readonly provenEarlier: number;
  /** When the oldest of the proofs it relied on was made; null when it relied on none. */
  readonly since: Date | null;
}

const MAX_VIOLATIONS = 1_000;
// Above every id: ids are ASCII.
const END = "\u{10FFFF}";
const DAY_MS = 86_400_000;
/** A proof is relied on for so long: what is done to old rows by hand is seen after that at the latest. */
const TRUST_MS = 7 * DAY_MS;
/** Books as small as this take seconds, and are always proven whole. */
const SMALL_ENTRIES = 100_000;

/** Everything that is wrong, from the first entry of every user on; remembers how far the books are proven. */
export async function runDoctor(deps: DoctorDeps): Promise<readonly Violation[]> {
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
  const store = createAuditStore(deps.database);
  const size = await store.size();
  const isWhole = deps.whole || size.entries <= (deps.smallEntries ?? SMALL_ENTRIES);
  const startedAt = (deps.now ?? Date.now)();
  const trustedFrom = isWhole ? Number.POSITIVE_INFINITY : startedAt - TRUST_MS;
  const step = deps.usersPerStep ?? 500;
  const violations: Violation[] = [];
  const report = { users: 0, provenNow: 0, provenEarlier: 0, since: null as Date | null };
  let from = "";
  for (;;) {
    deps.signal?.throwIfAborted();
    const at = new Date((deps.now ?? Date.now)());
    const users = await store.page(from, step);
    const isLast = users.length < step;
    // The ranges leave no gap between them: rows of users who are not there lie in one of them, too.
    const range = { from, to: isLast ? END : (users.at(-1)?.id ?? END) };
    const page = await auditPage(deps.database, store, { users, range, at, trustedFrom });
    violations.push(...page.violations);
    report.users += users.length;
    report.provenNow += page.provenNow;
    report.provenEarlier += page.provenEarlier;
    if (page.since !== null && (report.since === null || page.since < report.since))
      report.since = page.since;
    deps.onProgress?.({
      users: report.users,
      totalUsers: size.users,
      violations: violations.length,
    });
    if (isLast || violations.length >= MAX_VIOLATIONS)
      return { ...report, violations: violations.slice(0, MAX_VIOLATIONS) };
    from = range.to;
  }
}

interface Page {
  readonly users: readonly AuditedUser[];
  readonly range: Range;
  /** Before anything of it was read. */
  readonly at: Date;
  /** Checkpoints proven whole before are passed over. */
  readonly trustedFrom: number;
}

/** A user with something to prove: everything after `seq`. `after` is null when that is everything. */
interface Subject {
  readonly userId: string;
  readonly after: Checkpoint | null;
  readonly seq: number;
  readonly charges: number;
  readonly endedHolds: number;
}

async function auditPage(database: Database, store: AuditStore, page: Page) {
  const { users, range, at } = page;
  const holds = await store.holds(range);
  const relied: Checkpoint[] = [];
  const violations: Violation[] = [];
  const subjects: Subject[] = [];
  for (const user of users) {
    const { active, ended } = holds.get(user.id) ?? { active: 0, ended: 0 };
    const after = trusted(user.checkpoint, page.trustedFrom);
    if (after !== null) {
      relied.push(after);
      violations.push(...changedSince(user, after));
      if (user.ledgerSeq === after.seq && active === 0 && ended === after.endedHolds) continue;
    }
    const { seq, charges } = after ?? { seq: 0, charges: 0 };
    subjects.push({ userId: user.id, after, seq, charges, endedHolds: ended });
  }
  // The first look at the entries: every later one sees these, too, so they are what can be remembered as proven.
  const sums = new Map((await store.sums(subjects)).map((one) => [one.userId, one]));
  for (const subject of subjects) violations.push(...wrongSums(subject, sums.get(subject.userId)));
  for (const check of doctorChecks(database.dialect, subjects.length))
    for (const { userId, detail } of await store.wrong(check, range, subjects))
      violations.push({ invariant: check.invariant, userId, detail });
  violations.push(...(await wrongCounts(store, range)));
  violations.push(...(await wrongKeys(database, subjects.map(keysOf))));
  const isWrong = new Set(violations.map(({ userId }) => userId));
  const again = subjects.filter(({ after }) => after === null).map(({ userId }) => userId);
  const sound = subjects.filter(({ userId }) => !isWrong.has(userId));
  await store.save(
    again,
    sound.flatMap((subject) => proofOf(subject, sums.get(subject.userId), at)),
  );
  return {
    violations,
    provenNow: [...sums.values()].reduce((sum, { entries }) => sum + entries, 0),
    provenEarlier: relied.reduce((sum, { seq }) => sum + seq, 0),
    since: relied.reduce<Date | null>(
      (oldest, { wholeAt }) => (oldest === null || wholeAt < oldest ? wholeAt : oldest),
      null,
    ),
  };
}

function trusted(checkpoint: Checkpoint | null, trustedFrom: number): Checkpoint | null {
  return checkpoint !== null && checkpoint.wholeAt.getTime() >= trustedFrom ? checkpoint : null;
}

function keysOf({ userId, after }: Subject) {
  return { userId, seq: after?.seq ?? 0, provenAt: after?.provenAt ?? null };
}

/** The entry the proof ends with has to be what it was. */
function changedSince({ id, balanceThere }: AuditedUser, { seq, balance }: Checkpoint) {
  if (seq === 0 || balanceThere === balance) return [];
  const now = balanceThere === null ? "is gone" : `has ${balanceThere}`;
  return [
    {
      invariant: "5 entries are never updated or deleted: the last one proven is as it was",
      userId: id,
      detail: `entry ${seq}: balance ${balance} when it was proven, ${now}`,
    },
  ];
}

function wrongSums({ userId, after, seq }: Subject, sums: Sums | undefined): Violation[] {
  // Gone since the page was read: rows of nobody are another check's.
  if (sums === undefined) return [];
  const { credits, ledgerSeq, entries, first, last } = sums;
  const total = (after?.balance ?? 0) + sums.total;
  const isSound =
    credits === total &&
    ledgerSeq === seq + entries &&
    (last ?? seq) === ledgerSeq &&
    (first ?? seq + 1) === seq + 1;
  if (isSound) return [];
  return [
    {
      invariant: "1 balance: users.credits is the sum of the entries, seq runs 1..n",
      userId,
      detail: `credits ${credits}, entries add up to ${total}; ledgerSeq ${ledgerSeq}, ${seq + entries} entries up to seq ${last ?? seq}`,
    },
  ];
}

function proofOf(subject: Subject, sums: Sums | undefined, at: Date): Proof[] {
  if (sums === undefined) return [];
  const { userId, after, charges, endedHolds } = subject;
  return [
    {
      userId,
      fromSeq: after?.seq ?? null,
      seq: sums.ledgerSeq,
      balance: sums.credits,
      charges: charges + sums.charges,
      endedHolds,
      provenAt: at,
      wholeAt: after?.wholeAt ?? at,
    },
  ];
}

async function wrongCounts(store: AuditStore, range: Range): Promise<Violation[]> {
  const rows = await store.rows<{
    userId: string;
    entryCounts: string | null;
    type: string | null;
    n: number | bigint;
  }>(ENTRY_COUNTS, range);
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
