// What a check of the doctor is, and the words of SQL that differ between the engines.
import type { Database } from "../../database/ports.ts";

type Dialect = Database["dialect"];

/** One check. `sql` has the range's two ends as its only parameters and returns rows of `userId` and `detail`. */
export interface Check {
  /** The invariant of CONTRACT.md section 6 it belongs to. */
  readonly invariant: string;
  readonly sql: string;
}

/** What differs between the engines. */
export interface SqlWords {
  readonly dialect: Dialect;
  /** Joins parts of a sentence. */
  text(...parts: string[]): string;
}

/** The words of `dialect`. */
export function sqlWords(dialect: Dialect): SqlWords {
  return dialect === "mysql"
    ? {
        dialect,
        text: (...parts) => `CONCAT(${parts.join(", ")})`,
      }
    : {
        dialect,
        text: (...parts) => parts.map((part) => `(${part})`).join(" || "),
      };
}

/** Whether `column` lies in the range of user ids. */
export function inRange(column: string): string {
  return `${column} > ? AND ${column} <= ?`;
}
