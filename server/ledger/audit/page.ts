// The audit of one page of users: a quick walk along their entries, then exact statements for users not in order.
import type { Database } from "../../database/ports.ts";
import {
  type AuditedUser,
  type AuditStore,
  type Checkpoint,
  type HoldEnds,
  MAX_PER_STATEMENT,
  type Proof,
  type Sums,
} from "./audit.store.ts";
import type { Check, Range } from "./check.ts";
import { doctorChecks, ENTRY_COUNTS } from "./checks.ts";
import { wrongKeys } from "./keys.ts";
import { type Walk, walkEntries } from "./walk.ts";

/** One violation of an invariant. */
export interface Violation {
  /** The violated invariant, by number and in words, as the doctor prints it. */
  readonly invariant: string;
  readonly userId: string;
  readonly detail: string;
}

/** Dependencies of auditing a page. */
interface PageDeps {
  readonly database: Database;
  readonly store: AuditStore;
  /** Maximum number of entries or keys in memory. */
  readonly rowsPerRead: number;
  /** Awaited between large reads, since one user may have millions of rows. Rejects when the audit is aborted. */
  rest(): Promise<void>;
}

/** Suspects per statement. */
const SUSPECTS = 500;

/** The users of one step, and the range in which their ids lie. */
export interface Page {
  readonly users: readonly AuditedUser[];
  readonly range: Range;
  /** Taken before any of it was read. */
  readonly at: Date;
}

/** A user with something to prove: everything after `seq`. `after` is null if that means from the first entry. */
interface Subject {
  readonly userId: string;
  readonly after: Checkpoint | null;
  readonly seq: number;
  readonly balance: number;
  readonly charges: number;
  readonly endedHolds: number;
  /** `credits` and `ledgerSeq` are as read with the page. */
  readonly credits: number;
  readonly ledgerSeq: number;
}

/**
 * Audits the users of a page, and stores checkpoints for those whose books are in order. Returns the violations,
 * whether there may be more, how many entries were proven now and earlier, and when the oldest of the earlier proofs
 * was made (null if it relied on none).
 */
export async function auditPage(
  { database, store, rowsPerRead, rest }: PageDeps,
  { users, range, at }: Page,
) {
  const { subjects, relied, violations } = subjectsOf(users, await store.holds(range));
  // Read along the table if everything is to be read, otherwise user by user.
  const isWhole = subjects.length === users.length && relied.length === 0;
  const paging = { range: isWhole ? range : null, rowsPerRead, rest };
  const ends = await store.holdEnds(paging.range, subjects);
  const walks = await walkEntries(database, subjects, paging);
  const suspects = subjects.filter(
    (one) => !isInOrder(one, walks.get(one.userId), ends.get(one.userId)),
  );
  const { sums, found, isCut } = await examine({ database, store, rest }, { suspects, range });
  violations.push(...found, ...(await wrongCounts(store, range)));
  const idOf = (userId: string, seq: number) => walks.get(userId)?.idOf(seq);
  const owners = subjects.map(keysOf);
  violations.push(...(await wrongKeys(database, owners, { ...paging, idOf })));
  const isWrong = new Set(violations.map(({ userId }) => userId));
  const again = subjects.filter(({ after }) => after === null).map(({ userId }) => userId);
  const proofs = subjects.flatMap((subject) => {
    const walk = walks.get(subject.userId);
    const proven = sums.has(subject.userId) ? sums.get(subject.userId) : walkedSums(subject, walk);
    return proven ? [{ subject, proven }] : [];
  });
  // If a check reached its limit, it is unknown whose books are in order.
  const valid = isCut ? [] : proofs.filter(({ subject }) => !isWrong.has(subject.userId));
  await store.save(
    again,
    valid.map(({ subject, proven }) => proofOf(subject, proven, at)),
  );
  return {
    violations,
    isCut,
    provenNow: proofs.reduce((sum, { proven }) => sum + proven.entries, 0),
    provenEarlier: relied.reduce((sum, { seq }) => sum + seq, 0),
    since: relied.reduce<Date | null>(
      (oldest, { wholeAt }) => (oldest === null || wholeAt < oldest ? wholeAt : oldest),
      null,
    ),
  };
}

/** Returns the users with something to prove, the checkpoints relied on, and violations for those that have changed. */
function subjectsOf(
  users: readonly AuditedUser[],
  holds: Awaited<ReturnType<AuditStore["holds"]>>,
) {
  const relied: Checkpoint[] = [];
  const violations: Violation[] = [];
  const subjects: Subject[] = [];
  for (const user of users) {
    const { active, ended } = holds.get(user.id) ?? { active: 0, ended: 0 };
    const { credits, ledgerSeq, checkpoint: after } = user;
    if (after !== null) {
      relied.push(after);
      violations.push(...changedSince(user, after));
      if (ledgerSeq === after.seq && active === 0 && ended === after.endedHolds) continue;
    }
    const { seq, balance, charges } = after ?? { seq: 0, balance: 0, charges: 0 };
    const from = { after, seq, balance, charges };
    subjects.push({ userId: user.id, ...from, endedHolds: ended, credits, ledgerSeq });
  }
  return { subjects, relied, violations };
}

/** Whether the walk proved everything. Users for whom it did not, or whose account has changed since, are suspects. */
function isInOrder(subject: Subject, walk: Walk | undefined, ends: HoldEnds | undefined): boolean {
  return (
    walk?.isValid === true &&
    walk.seq === subject.ledgerSeq &&
    walk.balance === subject.credits &&
    Number(ends?.settled ?? 0) === subject.charges + walk.charges &&
    Number(ends?.inconsistent ?? 0) === 0
  );
}

/** Returns the result of a walk in the form of exact sums. */
function walkedSums({ seq, credits, ledgerSeq }: Subject, walk: Walk | undefined) {
  return walk && { credits, ledgerSeq, entries: ledgerSeq - seq, charges: walk.charges };
}

/** Runs the exact statements: those about entries and holds for the suspects only, all others over the range. */
async function examine(
  { database, store, rest }: Omit<PageDeps, "rowsPerRead">,
  { suspects, range }: { suspects: readonly Subject[]; range: Range },
) {
  // A suspect deleted since the page was read has nothing to prove; rows without a user are found by another check.
  const sums = new Map<string, Sums | null>(suspects.map(({ userId }) => [userId, null]));
  const found: Violation[] = [];
  let isCut = false;
  const ask = async (check: Check, some: readonly Subject[]) => {
    const wrong = await store.wrong(check, range, some);
    isCut ||= wrong.length >= MAX_PER_STATEMENT;
    for (const one of wrong) found.push({ invariant: check.invariant, ...one });
  };
  for (let first = 0; first < suspects.length; first += SUSPECTS) {
    const some = suspects.slice(first, first + SUSPECTS);
    // The first to read the entries: all later statements see at least these, so this is what can be stored as proven.
    for (const one of await store.sums(some)) sums.set(one.userId, one);
    for (const one of some) found.push(...wrongSums(one, sums.get(one.userId) ?? null));
    for (const check of doctorChecks(database.dialect, some.length))
      if (check.takes !== undefined) {
        await rest();
        await ask(check, some);
      }
    await rest();
  }
  for (const check of doctorChecks(database.dialect, 0))
    if (check.takes === undefined) await ask(check, []);
  return { sums, found, isCut };
}

function keysOf({ userId, after }: Subject) {
  return { userId, seq: after?.seq ?? 0, provenAt: after?.provenAt ?? null };
}

/** Checks that the last proven entry is unchanged. */
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

function wrongSums({ userId, balance, seq }: Subject, sums: Sums | null): Violation[] {
  if (sums === null) return [];
  const { credits, ledgerSeq, entries, first, last } = sums;
  const total = balance + sums.total;
  const isValid =
    credits === total &&
    ledgerSeq === seq + entries &&
    (last ?? seq) === ledgerSeq &&
    (first ?? seq + 1) === seq + 1;
  if (isValid) return [];
  return [
    {
      invariant: "1 balance: users.credits is the sum of the entries, seq runs 1..n",
      userId,
      detail: `credits ${credits}, entries add up to ${total}; ledgerSeq ${ledgerSeq}, ${seq + entries} entries up to seq ${last ?? seq}`,
    },
  ];
}

function proofOf(
  { userId, after, charges, endedHolds }: Subject,
  proven: Pick<Sums, "credits" | "ledgerSeq" | "charges">,
  at: Date,
): Proof {
  return {
    userId,
    fromSeq: after?.seq ?? null,
    seq: proven.ledgerSeq,
    balance: proven.credits,
    charges: charges + proven.charges,
    endedHolds,
    provenAt: at,
    wholeAt: after?.wholeAt ?? at,
  };
}

async function wrongCounts(store: AuditStore, range: Range): Promise<Violation[]> {
  const rows = await store.rows<{
    userId: string;
    entryCounts: string | null;
    type: string | null;
    n: number | bigint;
  }>(ENTRY_COUNTS, range);
  const counted = new Map<string, { stored: string; counts: Record<string, number> }>();
  // Users come before their entries; entries without a user are found by another check.
  for (const { userId, entryCounts, type, n } of rows) {
    if (entryCounts !== null) counted.set(userId, { stored: entryCounts, counts: {} });
    const user = counted.get(userId);
    if (user !== undefined && type !== null) user.counts[type] = Number(n);
  }
  const wrong: Violation[] = [];
  for (const [userId, { stored, counts }] of counted) {
    if (isSame(stored, counts)) continue;
    // Sorted, so that the text does not depend on the order of the rows.
    const sorted = Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
    const detail = `entryCounts ${stored}, counted ${JSON.stringify(sorted)}`;
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
