// The doctor's first pass over the entries: reads each user's in order and checks them one by one. Users that are not
// certainly in order are suspects, and are checked again by the exact statements of checks.ts.
import type { SqlDialect } from "../../database/dates.ts";
import type { Database } from "../../database/ports.ts";
import { CHARGE, inRange, sqlFragments, toUnverified, type Unverified } from "./check.ts";
import { readByUser, type Paging } from "./read-by-user.ts";

/** A user's entries after entry `seq`, which has the balance `balance`, up to the last one, `ledgerSeq`. */
interface EntryRange extends Unverified {
  readonly balance: number;
  readonly ledgerSeq: number;
}

/** How far a walk got. */
export interface Walk {
  /** The last entry up to which each one follows from the one before it. */
  readonly seq: number;
  readonly balance: number;
  /** Number of entries that charge a hold, where charge and hold name each other. */
  readonly charges: number;
  /** False once an entry does not follow from the one before it, or needs to be judged by the exact statements. */
  readonly isValid: boolean;
  /** Returns the id of entry `seq`; undefined if the walk did not see it or did not keep its id. */
  idOf(seq: number): string | undefined;
}

interface EntryRow {
  readonly userId: string;
  readonly seq: number;
  readonly id: string;
  readonly amount: number;
  readonly balance: number;
  /** 0: nothing special, 1: a charge that agrees with its hold, 2: must be judged by the exact statements. */
  readonly kind: number;
}

/** How many ids are kept per user: those of the newest entries, to which keys usually point. */
const MAX_IDS = 20_000;
/** Users per statement, when the users are not all those in a range. */
const LIST = 256;

const INCONSISTENT =
  "h.id IS NULL OR h.status <> 'SETTLED' OR h.transactionId IS NULL OR h.transactionId <> e.id OR h.settledAmount <> -e.amount";
const KIND = `CASE WHEN ${CHARGE} THEN CASE WHEN e.balance < 0 OR ${INCONSISTENT} THEN 2 ELSE 1 END
  WHEN e.balance < 0 AND e.type IN ('USAGE', 'EXPIRY') THEN 2 ELSE 0 END`;

/** Returns the statements for a page with `users` unverified users. Their last parameter is the limit on rows. */
export function walkSql(dialect: SqlDialect, users: number) {
  const primary = dialect === "mysql" ? " FORCE INDEX (PRIMARY)" : "";
  const columns = `e.userId, e.seq, e.id, e.amount, e.balance, ${KIND} AS kind`;
  const hold = `LEFT JOIN credit_holds h${primary} ON h.id = CASE WHEN ${CHARGE} THEN e.sourceId END AND h.userId = e.userId`;
  const end = `ORDER BY e.userId, e.seq LIMIT ?`;
  const all = `credit_logs e${primary} ${hold}`;
  return {
    /** Parameters: the ends of the range. */
    ofRange: `SELECT ${columns} FROM ${all} WHERE ${inRange("e.userId")} ${end}`,
    /** Takes "unverified". */
    ofUsers: `SELECT ${columns} FROM ${sqlFragments(dialect, users).entries} e ${hold} ${end}`,
    /** Parameters: user, after seq. */
    ofUser: `SELECT ${columns} FROM ${all} WHERE e.userId = ? AND e.seq > ? ${end}`,
  };
}

/** Walks along the entries of `entryRanges`, which are ordered by user id. */
export async function walkEntries(
  database: Database,
  entryRanges: readonly EntryRange[],
  paging: Paging,
): Promise<Map<string, Walk>> {
  const walks = new Map(entryRanges.map((one) => [one.userId, createWalk(one)]));
  const { dialect } = database;
  const sql = walkSql(dialect, 1);
  await readByUser<EntryRow, EntryRange>(database, entryRanges, paging, {
    ofRange: ({ from, to }) => [sql.ofRange, from, to],
    ofUsers: (some) => [walkSql(dialect, some.length).ofUsers, ...toUnverified(dialect, some)],
    usersPerRead: LIST,
    ofUser: ({ userId, seq }) => [sql.ofUser, userId, seq],
    take(rows) {
      for (const row of rows) walks.get(row.userId)?.step(row);
    },
  });
  return walks;
}

function createWalk(entryRange: EntryRange): Walk & { step(row: EntryRow): void } {
  let { seq, balance } = entryRange;
  let [charges, isValid] = [0, true];
  const keptAfter = Math.max(seq, entryRange.ledgerSeq - MAX_IDS);
  const ids: string[] = [];
  return {
    get seq() {
      return seq;
    },
    get balance() {
      return balance;
    },
    get charges() {
      return charges;
    },
    get isValid() {
      return isValid;
    },
    idOf: (one) => ids[one - keptAfter - 1],
    step(row) {
      if (row.seq !== seq + 1 || row.balance !== balance + row.amount || row.kind === 2)
        isValid = false;
      if (!isValid) return;
      ({ seq, balance } = row);
      if (row.kind === 1) charges += 1;
      if (seq > keptAfter) ids.push(row.id);
    },
  };
}
