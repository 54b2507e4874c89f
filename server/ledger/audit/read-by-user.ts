// Reads rows of many users, in bounded memory, and all of one user before the next one's.
import type { Database } from "../../database/ports.ts";
import type { Range } from "./check.ts";

/** How many rows at once. */
export interface Paging {
  /** Where the users are all its users, and all of their rows are read; null otherwise. */
  readonly range: Range | null;
  /** Rows in memory at once. */
  readonly rowsPerRead: number;
  /** Awaited between reads. */
  rest(): Promise<void>;
}

/** A statement and its parameters but the last one, which is how many rows at most. */
type Statement = readonly [sql: string, ...parameters: (string | number)[]];

/** What is read, in the order of users, and what becomes of it. */
interface Reads<Row, User> {
  ofRange(range: Range): Statement;
  ofUsers(users: readonly User[]): Statement;
  /** Users of one such statement; defaults to all. */
  readonly usersPerRead?: number;
  /** The rows of one user that come after `last`. */
  ofUser(last: Row): Statement;
  take(rows: readonly Row[]): void | Promise<void>;
}

/** Reads the rows of `users`, who are in the order of their ids, a page at a time. */
export async function readByUser<
  Row extends { readonly userId: string },
  User extends { readonly userId: string },
>(
  database: Database,
  users: readonly User[],
  { range, rowsPerRead, rest }: Paging,
  reads: Reads<Row, User>,
): Promise<void> {
  // Returns the last row of a page behind which there may be more.
  const read = async ([sql, ...parameters]: Statement) => {
    const rows = await database.read<Row>(sql, [...parameters, rowsPerRead]);
    await reads.take(rows);
    if (rows.length < rowsPerRead) return undefined;
    await rest();
    return rows.at(-1);
  };
  // A page may end amidst a user's rows: the rest of them follows. Returns the user it ended with.
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
