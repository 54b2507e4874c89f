import { toSqlDate } from "../../database/dates.ts";
import { classifyDatabaseError } from "../../database/errors.ts";
import { lockUser } from "../../database/lock-user.ts";
import type { Database, SqlSession } from "../../database/ports.ts";
import { advanceMark, readMark } from "../../database/roll-up-mark.ts";
import { jsonTable } from "../store/sql.ts";
import type { CreditTotalsStore, EntrySpan, MovementRange, Movements } from "./ports.ts";
import { QUARTER_MS, quarterEnd, quarterOf, quarterStart } from "./quarters.ts";

const ENTRY = { userId: "id", seq: "int" } as const;
const SPAN = { userId: "id", fromSeq: "int", toSeq: "int" } as const;
const MOVEMENT = { createdAt: "date", id: "id" } as const;
const GIVEN = "SUM(CASE WHEN e.amount > 0 THEN e.amount ELSE 0 END)";
const TAKEN = "SUM(CASE WHEN e.amount < 0 THEN -e.amount ELSE 0 END)";
const COUNTED = "SUM(given) AS given, SUM(CASE WHEN type = 'USAGE' THEN taken ELSE 0 END) AS spent";

/** At most this many entries of a user are counted while the user's row is held. */
const CATCH_UP_ENTRIES = 1_000;

/** The name of the mark in `roll_ups`: the totals may contain what lies before it. */
const NAME = "credits";

/** The statements. The first parameter of each one that writes is JSON: the entries, movements or spans it works on. */
export const CREDIT_TOTALS_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") };

function statements(dialect: Database["dialect"]) {
  const spans = jsonTable(dialect, SPAN);
  const moved = jsonTable(dialect, MOVEMENT);
  const isMysql = dialect === "mysql";
  const join = isMysql ? "STRAIGHT_JOIN" : "CROSS JOIN";
  const entries = isMysql ? "credit_logs e FORCE INDEX (PRIMARY)" : "credit_logs e";
  const movements = isMysql ? "credit_movements m FORCE INDEX (PRIMARY)" : "credit_movements m";
  // Entry by entry: given only the two ends of a span, MySQL and MariaDB would read all entries of its user.
  const inSpans = `${jsonTable(dialect, ENTRY)} ${join} ${entries} ON e.userId = j.userId AND e.seq = j.seq`;
  // In the format Prisma writes. An entry imported by hand may be dated in another, and a movement that took that over
  // could not be looked up.
  const entryAt = isMysql ? "e.createdAt" : "strftime('%Y-%m-%dT%H:%M:%f+00:00', e.createdAt)";
  const named = "m.createdAt = j.createdAt AND m.id = j.id";
  const add = isMysql
    ? "ON DUPLICATE KEY UPDATE given = credit_totals.given + VALUES(given), taken = credit_totals.taken + VALUES(taken)"
    : "ON CONFLICT (quarter, type) DO UPDATE SET given = given + excluded.given, taken = taken + excluded.taken";
  // Opens the derived table that the two statements below close, one of them after a third part.
  const counted = `(
        SELECT ${COUNTED} FROM credit_totals WHERE quarter >= ? AND quarter < ?
        UNION ALL
        SELECT ${COUNTED} FROM credit_movements WHERE createdAt >= ? AND createdAt < ?`;
  return {
    addMovements: `INSERT INTO credit_totals (quarter, type, given, taken)
      SELECT ${quarterOf(dialect, "m.createdAt")} AS q, m.type, SUM(m.given), SUM(m.taken)
      FROM ${moved} ${join} ${movements} ON ${named} WHERE 1 = 1 GROUP BY q, m.type ${add}`,
    deleteMovements: isMysql
      ? `DELETE m FROM ${moved} STRAIGHT_JOIN ${movements} ON ${named}`
      : `DELETE FROM credit_movements WHERE (createdAt, id) IN (SELECT j.createdAt, j.id FROM ${moved})`,
    /** Second parameter: entries before it are added to the totals. */
    addEntries: `INSERT INTO credit_totals (quarter, type, given, taken)
      SELECT ${quarterOf(dialect, "e.createdAt")} AS q, e.type, ${GIVEN}, ${TAKEN}
      FROM ${inSpans} WHERE e.createdAt < ? GROUP BY q, e.type ${add}`,
    /** Second parameter: entries from it on become movements, to be added up later. */
    moveEntries: `INSERT INTO credit_movements (createdAt, id, type, given, taken)
      SELECT ${entryAt} AS at, ${isMysql ? "UUID()" : "lower(hex(randomblob(16)))"}, e.type, ${GIVEN}, ${TAKEN}
      FROM ${inSpans} WHERE e.createdAt >= ? GROUP BY at, e.type`,
    advance: isMysql
      ? `UPDATE ${spans} STRAIGHT_JOIN users u FORCE INDEX (PRIMARY) ON u.id = j.userId AND u.rolledSeq = j.fromSeq SET u.rolledSeq = j.toSeq`
      : `UPDATE users SET rolledSeq = j.toSeq FROM ${spans} WHERE users.id = j.userId AND users.rolledSeq = j.fromSeq`,
    // One statement sees one snapshot, in which each entry is counted exactly once: in a movement, in the totals, or
    // past its user's rolledSeq. Each part has its own SUM because MySQL copies all rows of a union to a temporary
    // table.
    movements: `SELECT SUM(m.given) AS given, SUM(m.spent) AS spent FROM ${counted}
        UNION ALL
        SELECT ${GIVEN}, SUM(CASE WHEN e.type = 'USAGE' AND e.amount < 0 THEN -e.amount ELSE 0 END)
        FROM users u ${join} ${entries} ON e.userId = u.id AND e.seq > u.rolledSeq
        WHERE u.ledgerSeq > u.rolledSeq AND e.createdAt >= ? AND e.createdAt < ?
      ) m`,
    /** Without the entries past rolledSeq, which only a scan of all users finds. */
    countedMovements: `SELECT SUM(m.given) AS given, SUM(m.spent) AS spent FROM ${counted}) m`,
  };
}

/** Creates the store, for either database. */
export function createCreditTotalsStore(database: Database): CreditTotalsStore {
  return {
    rollMovements: (beforeMs, rows) => rollMovements(database, beforeMs, rows),
    unrolled: (afterUserId, users) => findUnrolled(database, afterUserId, users),
    advance: (ms) => advanceMark(database.models, NAME, ms),
    rollEntries: (spans, ms) => rollEntries(database, spans, ms),
    catchUp: (userIds, ms, signal) => catchUp(database, userIds, ms, signal),
    rangeOf: async (fromMs, toMs) =>
      toRange(await readMark(database.models, NAME), { fromMs, toMs }),
    movements: (fromMs, toMs, { allCounted = false } = {}) =>
      readMovements(database, { fromMs, toMs }, allCounted),
  };
}

/** Thrown inside a transaction to roll it back. */
class RolledMeanwhile extends Error {}

/** Runs `work` in a transaction. Returns false, rolled back, if another instance had already done the same. */
async function unlessRolledMeanwhile(
  database: Database,
  work: (sql: SqlSession) => Promise<void>,
): Promise<boolean> {
  try {
    await database.transaction(({ sql }) => work(sql));
    return true;
  } catch (error) {
    if (error instanceof RolledMeanwhile) return false;
    throw error;
  }
}

async function rollMovements(database: Database, beforeMs: number, rows: number): Promise<number> {
  const { dialect } = database;
  const { addMovements, deleteMovements } = CREDIT_TOTALS_SQL[dialect];
  const due = await database.models.creditMovement.findMany({
    where: { createdAt: { lt: new Date(beforeMs) } },
    orderBy: [{ createdAt: "asc" }, { id: "asc" }],
    take: rows,
    select: { createdAt: true, id: true },
  });
  if (due.length === 0) return 0;
  const named = JSON.stringify(due.map(({ createdAt, id }) => [toSqlDate(dialect, createdAt), id]));
  const isMine = await unlessRolledMeanwhile(database, async (sql) => {
    await sql.execute(addMovements, [named]);
    if ((await sql.execute(deleteMovements, [named])) !== due.length) throw new RolledMeanwhile();
  });
  return isMine ? due.length : 0;
}

async function findUnrolled({ models }: Database, afterUserId: string, take: number) {
  // Filtered here, so that a page costs the same when nothing is due: no index can compare two columns of a row.
  const users = await models.user.findMany({
    where: { id: { gt: afterUserId } },
    orderBy: { id: "asc" },
    take,
    select: SEQS,
  });
  return {
    spans: uncountedOf(users),
    last: users.length < take ? null : (users.at(-1)?.id ?? null),
  };
}

const SEQS = { id: true, ledgerSeq: true, rolledSeq: true } as const;

function uncountedOf(users: readonly { id: string; ledgerSeq: number; rolledSeq: number }[]) {
  return users
    .filter(({ ledgerSeq, rolledSeq }) => ledgerSeq > rolledSeq)
    .map(({ id, ledgerSeq, rolledSeq }) => ({ userId: id, fromSeq: rolledSeq, toSeq: ledgerSeq }));
}

const toJson = (spans: readonly EntrySpan[]) =>
  JSON.stringify(spans.map(({ userId, fromSeq, toSeq }) => [userId, fromSeq, toSeq]));

const entriesOf = (spans: readonly EntrySpan[]) =>
  JSON.stringify(
    spans.flatMap(({ userId, fromSeq, toSeq }) =>
      Array.from({ length: toSeq - fromSeq }, (_, n) => [userId, fromSeq + n + 1]),
    ),
  );

async function rollEntries(
  database: Database,
  spans: readonly EntrySpan[],
  ms: number,
): Promise<boolean> {
  return unlessRolledMeanwhile(database, (sql) => countEntries(sql, spans, ms));
}

async function countEntries(
  sql: SqlSession,
  spans: readonly EntrySpan[],
  ms: number,
): Promise<void> {
  const { addEntries, moveEntries, advance } = CREDIT_TOTALS_SQL[sql.dialect];
  const named = [entriesOf(spans), toSqlDate(sql.dialect, new Date(ms))];
  await sql.execute(addEntries, named);
  await sql.execute(moveEntries, named);
  // Last, so that the users' rows are locked only briefly, because the ledger cannot have them meanwhile.
  if ((await sql.execute(advance, [toJson(spans)])) !== spans.length) throw new RolledMeanwhile();
}

async function catchUp(
  database: Database,
  userIds: readonly string[],
  ms: number,
  signal: AbortSignal,
): Promise<number> {
  const where = { id: { in: [...userIds] } };
  const behind = uncountedOf(await database.models.user.findMany({ where, select: SEQS }));
  let entries = 0;
  for (const { userId, fromSeq, toSeq } of behind) {
    if (signal.aborted) break;
    // More than that has not been added within a moment: it is left to the next run.
    if (toSeq - fromSeq > CATCH_UP_ENTRIES) continue;
    entries += await catchUpUser(database, userId, ms).catch((error: unknown) => {
      // Another transaction holds the user's row, which is left to the next run as well.
      if (classifyDatabaseError(error) === "conflict") return 0;
      throw error;
    });
  }
  return entries;
}

function catchUpUser(database: Database, userId: string, ms: number): Promise<number> {
  return database.transaction(async (tx) => {
    await lockUser(tx, userId);
    const users = await tx.models.user.findMany({ where: { id: userId }, select: SEQS });
    const spans = uncountedOf(users);
    if (spans.length > 0) await countEntries(tx.sql, spans, ms);
    return spans.reduce((sum, span) => sum + span.toSeq - span.fromSeq, 0);
  });
}

/** Moves an end that lies within the totals outwards to a quarter boundary. */
function toRange(markMs: number, { fromMs, toMs }: MovementRange): MovementRange {
  return {
    fromMs: fromMs < markMs ? quarterStart(fromMs) : fromMs,
    toMs: toMs < markMs ? quarterEnd(toMs) : toMs,
  };
}

async function readMovements(
  database: Database,
  wanted: MovementRange,
  allCounted: boolean,
): Promise<Movements> {
  const markMs = await readMark(database.models, NAME);
  const range = toRange(markMs, wanted);
  const moved = await sumMovements(database, range, allCounted);
  // Start over if the mark has moved (it does four times an hour): movements read exactly may have become totals.
  if ((await readMark(database.models, NAME)) !== markMs)
    return readMovements(database, wanted, allCounted);
  return { ...range, ...moved };
}

async function sumMovements(
  { models, dialect }: Database,
  { fromMs, toMs }: MovementRange,
  allCounted: boolean,
) {
  const { movements, countedMovements } = CREDIT_TOTALS_SQL[dialect];
  const quarters = [Math.ceil(fromMs / QUARTER_MS), Math.ceil(toMs / QUARTER_MS)];
  const dates = [fromMs, toMs].map((ms) => toSqlDate(dialect, new Date(ms)));
  const [moved] = await models.$queryRawUnsafe<{ given: unknown; spent: unknown }[]>(
    allCounted ? countedMovements : movements,
    ...quarters,
    ...dates,
    ...(allCounted ? [] : dates),
  );
  // The sums are null when there is nothing to add up.
  return { granted: Number(moved?.given ?? 0), spent: Number(moved?.spent ?? 0) };
}
