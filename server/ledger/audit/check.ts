// What a check of the doctor is, and the words of SQL that differ between the engines.
import type { SqlDialect } from "../../database/dates.ts";
import { jsonTable } from "../store/sql.ts";

/** Ids above `from` up to `to`: rows of users who are not there lie in a range, too. */
export interface Range {
  readonly from: string;
  readonly to: string;
}

/** A user whose books have something to prove, and from where. */
export interface Unverified {
  readonly userId: string;
  readonly seq: number;
  readonly charges: number;
}

/** Whether entry `e` charges a hold. */
export const CHARGE = "(e.type = 'USAGE' AND e.sourceId IS NOT NULL)";

/** Whether the state of hold `h` and its end disagree. */
export const INCONSISTENT_END = `(h.status NOT IN ('ACTIVE', 'SETTLED', 'RELEASED', 'EXPIRED')
          OR (h.status = 'ACTIVE') <> (h.endedAt IS NULL)
          OR (h.status = 'SETTLED') <> (h.settledAmount IS NOT NULL)
          OR h.settledAmount < 0 OR h.settledAmount > h.amount)`;

/** One check: a statement that returns rows of `userId` and `detail`, one for each thing that is wrong. */
export interface Check {
  /** The invariant it belongs to, by number and in words, as the doctor prints it. */
  readonly invariant: string;
  readonly sql: string;
  /** What its placeholders are for, in their order; the two ends of the page's range, in turns, where it does not say. */
  readonly takes?: readonly ("unverified" | "list")[];
}

/** What differs between the engines, and between pages. */
export interface SqlWords {
  readonly dialect: SqlDialect;
  /** Joins parts of a sentence. */
  text(...parts: string[]): string;
  /** FROM: the entries that are not proven yet. Takes "unverified". */
  readonly entries: string;
  /** FROM: the users with something to prove: userId, seq and charges they are proven up to. Takes "list". */
  readonly users: string;
  /** FROM: all holds `h` of these users. Takes "list". */
  readonly holds: string;
}

/** The words of `dialect` for pages where `users` have something to prove. */
export function sqlWords(dialect: SqlDialect, users: number): SqlWords {
  const list = jsonTable(dialect, { userId: "id", seq: "int", charges: "int" });
  if (dialect === "sqlite")
    return {
      dialect,
      text: (...parts) => parts.map((part) => `(${part})`).join(" || "),
      entries: `(SELECT l.* FROM ${list} CROSS JOIN credit_logs l ON l.userId = j.userId AND l.seq > j.seq)`,
      users: list,
      holds: `${list} CROSS JOIN credit_holds h ON h.userId = j.userId`,
    };
  // Ranges written out: joined to a list, the servers read all entries of its users, or all there are. In groups, because
  // they look at the condition again for every row, alternative by alternative.
  const some = Array.from({ length: GROUP }, () => "(userId = ? AND seq > ?)").join(" OR ");
  const ranges = Array.from(
    { length: widthOf(users) / GROUP },
    () => `(userId >= ? AND userId <= ? AND (${some}))`,
  ).join(" OR ");
  return {
    dialect,
    text: (...parts) => `CONCAT(${parts.join(", ")})`,
    entries: `(SELECT * FROM credit_logs FORCE INDEX (PRIMARY) WHERE ${ranges})`,
    users: list,
    holds: `${list} STRAIGHT_JOIN credit_holds h FORCE INDEX (credit_holds_userId_status_idx) ON h.userId = j.userId`,
  };
}

/** The "list" of a statement. */
export function toList(unverified: readonly Unverified[]): string {
  return JSON.stringify(unverified.map(({ userId, seq, charges }) => [userId, seq, charges]));
}

/** The "unverified" of a statement: its ranges written out, or the list. */
export function toUnverified(
  dialect: SqlDialect,
  unverified: readonly Unverified[],
): (string | number)[] {
  if (dialect === "sqlite") return [toList(unverified)];
  // The last one fills the rest.
  const all = Array.from(
    { length: widthOf(unverified.length) },
    (_, i) => unverified[Math.min(i, unverified.length - 1)],
  ).filter((one) => one !== undefined);
  return Array.from({ length: all.length / GROUP }, (_, i) => {
    const group = all.slice(i * GROUP, (i + 1) * GROUP);
    const ends = [group[0]?.userId ?? "", group.at(-1)?.userId ?? ""];
    return [...ends, ...group.flatMap(({ userId, seq }) => [userId, seq])];
  }).flat();
}

/** Users of one group of ranges; the users come in the order of their ids. */
export const GROUP = 16;

/** How many users a statement for `users` has room for: few lengths, so that the server knows most texts already. */
function widthOf(users: number): number {
  return Math.max(GROUP, 2 ** Math.ceil(Math.log2(Math.max(1, users))));
}

/** Whether `column` lies in the range of user ids. */
export function inRange(column: string): string {
  return `${column} > ? AND ${column} <= ?`;
}
