// What a doctor's check is, and the fragments of SQL that differ between the databases.
import type { SqlDialect } from "../../database/dates.ts";
import { jsonTable } from "../store/sql.ts";

/** User ids above `from`, up to and including `to`. Rows of users who do not exist lie in a range, too. */
export interface Range {
  readonly from: string;
  readonly to: string;
}

/** A user whose books are not proven beyond entry `seq`, up to which there are `charges` entries that charge a hold. */
export interface Unverified {
  readonly userId: string;
  readonly seq: number;
  readonly charges: number;
}

/** SQL: whether entry `e` charges a hold. */
export const CHARGE = "(e.type = 'USAGE' AND e.sourceId IS NOT NULL)";

/** SQL: whether the status of hold `h` and how it ended contradict each other. */
export const INCONSISTENT_END = `(h.status NOT IN ('ACTIVE', 'SETTLED', 'RELEASED', 'EXPIRED')
          OR (h.status = 'ACTIVE') <> (h.endedAt IS NULL)
          OR (h.status = 'SETTLED') <> (h.settledAmount IS NOT NULL)
          OR h.settledAmount < 0 OR h.settledAmount > h.amount)`;

/** One check: a statement that returns a row of `userId` and `detail` for each violation. */
export interface Check {
  /** The invariant it checks, by number and in words, as the doctor prints it. */
  readonly invariant: string;
  readonly sql: string;
  /** What its placeholders stand for, in order. Defaults to the two ends of the page's range, in turn. */
  readonly takes?: readonly ("unverified" | "list")[];
}

/** The fragments of SQL that differ between databases, and between pages. */
export interface SqlFragments {
  readonly dialect: SqlDialect;
  /** Concatenates SQL expressions into a text. */
  text(...parts: string[]): string;
  /** For FROM: the entries that are not proven yet. Takes "unverified". */
  readonly entries: string;
  /** For FROM: the unverified users, as rows of userId, seq and charges (see Unverified). Takes "list". */
  readonly users: string;
  /** For FROM: all holds `h` of these users. Takes "list". */
  readonly holds: string;
}

/** Returns the fragments for `dialect` and a page with `users` unverified users. */
export function sqlFragments(dialect: SqlDialect, users: number): SqlFragments {
  const list = jsonTable(dialect, { userId: "id", seq: "int", charges: "int" });
  if (dialect === "sqlite")
    return {
      dialect,
      text: (...parts) => parts.map((part) => `(${part})`).join(" || "),
      entries: `(SELECT l.* FROM ${list} CROSS JOIN credit_logs l ON l.userId = j.userId AND l.seq > j.seq)`,
      users: list,
      holds: `${list} CROSS JOIN credit_holds h ON h.userId = j.userId`,
    };
  // The ranges are written out because, joined to a list, MySQL and MariaDB read all entries of its users, or the whole
  // table. They are grouped because the servers evaluate the condition for every row, alternative by alternative.
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

/** Returns the "list" parameter of a statement. */
export function toList(unverified: readonly Unverified[]): string {
  return JSON.stringify(unverified.map(({ userId, seq, charges }) => [userId, seq, charges]));
}

/** Returns the "unverified" parameters of a statement: the ranges written out or, on SQLite, the list. */
export function toUnverified(
  dialect: SqlDialect,
  unverified: readonly Unverified[],
): (string | number)[] {
  if (dialect === "sqlite") return [toList(unverified)];
  // The last user fills the remaining places.
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

/** Users per group of ranges. Users are ordered by id. */
export const GROUP = 16;

/** Returns how many users a statement for `users` has room for. Few sizes, so that most statements are cached. */
function widthOf(users: number): number {
  return Math.max(GROUP, 2 ** Math.ceil(Math.log2(Math.max(1, users))));
}

/** Returns a SQL condition: whether `column` lies in the range of user ids. */
export function inRange(column: string): string {
  return `${column} > ? AND ${column} <= ?`;
}
