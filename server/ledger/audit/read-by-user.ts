// Reads the rows of many users in bounded memory, all of one user's before the next user's.
import type { Database } from "../../database/ports.ts";
import type { Range } from "./check.ts";

/** How to split the reads. */
export interface Paging {
  /** Set when the users are all those in the range and all of their rows are read; null otherwise. */
  readonly range: Range | null;
  /** Maximum number of rows in memory. */
  readonly rowsPerRead: number;
  /** Awaited between reads. */
  rest(): Promise<void>;
}

/** A statement and all its parameters but the last, which is the limit on rows. */
type Statement = readonly [sql: string, ...parameters: (string | number)[]];

/** The statements to read with, each ordered by user, and where the rows go. */
interface Reads<Row, User> {
  ofRange(range: Range): Statement;
  ofUsers(users: readonly User[]): Statement;
  /** Users per `ofUsers` statement. Defaults to all. */
  readonly usersPerRead?: number;
  /** Reads the rows of one user that come after `last`. */
  ofUser(last: Row): Statement;
  take(rows: readonly Row[]): void | Promise<void>;
}

/** Reads the rows of `users`, which are ordered by id, a page at a time. */
export async function readByUser<
  Row extends { readonly userId: string },
  User extends { readonly userId: string },
>(
  database: Database,
  users: readonly User[],
  { range, rowsPerRead, rest }: Paging,
  reads: Reads<Row, User>,
): Promise<void> {
  // Returns the last row of a full page, after which there may be more rows.
  const read = async ([sql, ...parameters]: Statement) => {
    const rows = await database.read<Row>(sql, [...parameters, rowsPerRead]);
    await reads.take(rows);
    if (rows.length < rowsPerRead) return undefined;
    await rest();
    return rows.at(-1);
  };
  // A page may end in the middle of a user's rows, so the rest of them is read next. Returns the user it ended with.
  const readOn = async (statement: Statement) => {
    const cut = await read(statement);
    for (let last = cut; last !== undefined; ) last = await read(reads.ofUser(last));
    return cut?.userId;
  };
  if (range !== null) {
    for (let from: string | undefined = range.from; from !== undefined; )
      from = await readOn(reads.ofRange({ from, to: range.to }));
    return;
  }
  for (let left = users; left.length > 0; ) {
    const some = left.slice(0, reads.usersPerRead);
    const end = await readOn(reads.ofUsers(some));
    const done = end === undefined ? some.length : some.findIndex((one) => one.userId === end) + 1;
    left = left.slice(done);
  }
}
