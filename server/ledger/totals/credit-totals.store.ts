import { toSqlDate } from "../../database/dates.ts";
import type { Database } from "../../database/ports.ts";
import { jsonTable } from "../store/sql.ts";
import type { CreditTotalsStore, EntrySpan, Movements } from "./ports.ts";
import { QUARTER_MS, quarterEnd, quarterOf, quarterStart } from "./quarters.ts";

const ENTRY = { userId: "id", seq: "int" } as const;
const SPAN = { userId: "id", fromSeq: "int", toSeq: "int" } as const;
const GIVEN = "SUM(CASE WHEN e.amount > 0 THEN e.amount ELSE 0 END)";
const TAKEN = "SUM(CASE WHEN e.amount < 0 THEN -e.amount ELSE 0 END)";

const NAME = "credits";

/** The statements. The first parameter of `advance` is the spans as JSON, that of `add` and `first` each of their entries. */
export const CREDIT_TOTALS_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") };

function statements(dialect: Database["dialect"]) {
  const spans = jsonTable(dialect, SPAN);
  const isMysql = dialect === "mysql";
  const join = isMysql ? "STRAIGHT_JOIN" : "CROSS JOIN";
  const entries = isMysql ? "credit_logs e FORCE INDEX (PRIMARY)" : "credit_logs e";
  // One by one: by the two ends of a span, MySQL and MariaDB read all entries of its user.
  const inSpans = `${jsonTable(dialect, ENTRY)} ${join} ${entries} ON e.userId = j.userId AND e.seq = j.seq`;
  return {
    add: `INSERT INTO credit_totals (quarter, type, given, taken)
      SELECT ${quarterOf(dialect, "e.createdAt")} AS q, e.type, ${GIVEN}, ${TAKEN}
      FROM ${inSpans}
      WHERE 1 = 1 GROUP BY q, e.type
      ${
        isMysql
          ? "ON DUPLICATE KEY UPDATE given = credit_totals.given + VALUES(given), taken = credit_totals.taken + VALUES(taken)"
          : "ON CONFLICT (quarter, type) DO UPDATE SET given = given + excluded.given, taken = taken + excluded.taken"
      }`,
    advance: isMysql
      ? `UPDATE ${spans} STRAIGHT_JOIN users u FORCE INDEX (PRIMARY) ON u.id = j.userId AND u.rolledSeq = j.fromSeq SET u.rolledSeq = j.toSeq`
      : `UPDATE users SET rolledSeq = j.toSeq FROM ${spans} WHERE users.id = j.userId AND users.rolledSeq = j.fromSeq`,
    first: `SELECT j.userId, MIN(e.seq) AS seq FROM ${inSpans}
      WHERE e.createdAt >= ? GROUP BY j.userId`,
    // One statement sees one moment: an entry is in the totals or behind its user's rolledSeq, never both.
    movements: `SELECT m.type, SUM(m.given) AS given, SUM(m.taken) AS taken FROM (
        SELECT type, given, taken FROM credit_totals WHERE quarter >= ? AND quarter < ?
        UNION ALL
        SELECT e.type, ${GIVEN}, ${TAKEN}
        FROM users u ${join} ${entries} ON e.userId = u.id AND e.seq > u.rolledSeq
        WHERE u.ledgerSeq > u.rolledSeq AND e.createdAt >= ? AND e.createdAt < ? GROUP BY e.type
      ) m GROUP BY m.type`,
  };
}

/** The store over either database. */
export function createCreditTotalsStore(database: Database): CreditTotalsStore {
  return {
    unrolled: (afterUserId, users) => findUnrolled(database, afterUserId, users),
    async advance(ms) {
      const to = new Date(ms);
      await database.models.rollUp.updateMany({
        where: { name: NAME, rolledTo: { lt: to } },
        data: { rolledTo: to },
      });
    },
    before: (spans, ms) => cutOff(database, spans, ms),
    roll: (spans) => rollSpans(database, spans),
    movements: (fromMs, toMs) => readMovements(database, fromMs, toMs),
  };
}

async function findUnrolled({ models }: Database, afterUserId: string, take: number) {
  // Filtered here: a page is as much work where nothing is due, and two columns of a row cannot be compared by an index.
  const users = await models.user.findMany({
    where: { id: { gt: afterUserId } },
    orderBy: { id: "asc" },
    take,
    select: { id: true, ledgerSeq: true, rolledSeq: true },
  });
  return {
    spans: users
      .filter(({ ledgerSeq, rolledSeq }) => ledgerSeq > rolledSeq)
      .map(({ id, ledgerSeq, rolledSeq }) => ({
        userId: id,
        fromSeq: rolledSeq,
        toSeq: ledgerSeq,
      })),
    last: users.length < take ? null : (users.at(-1)?.id ?? null),
  };
}

const toJson = (spans: readonly EntrySpan[]) =>
  JSON.stringify(spans.map(({ userId, fromSeq, toSeq }) => [userId, fromSeq, toSeq]));

const entriesOf = (spans: readonly EntrySpan[]) =>
  JSON.stringify(
    spans.flatMap(({ userId, fromSeq, toSeq }) =>
      Array.from({ length: toSeq - fromSeq }, (_, n) => [userId, fromSeq + n + 1]),
    ),
  );

async function cutOff(
  { models, dialect }: Database,
  spans: readonly EntrySpan[],
  ms: number,
): Promise<EntrySpan[]> {
  if (spans.length === 0) return [];
  const rows = await models.$queryRawUnsafe<{ userId: string; seq: unknown }[]>(
    CREDIT_TOTALS_SQL[dialect].first,
    entriesOf(spans),
    toSqlDate(dialect, new Date(ms)),
  );
  const firstSeq = new Map(rows.map(({ userId, seq }) => [userId, Number(seq)]));
  return spans
    .map((span) => ({ ...span, toSeq: (firstSeq.get(span.userId) ?? span.toSeq + 1) - 1 }))
    .filter(({ fromSeq, toSeq }) => toSeq > fromSeq);
}

/** Thrown inside a transaction to take it back. */
class RolledMeanwhile extends Error {}

async function rollSpans(database: Database, spans: readonly EntrySpan[]): Promise<boolean> {
  const { add, advance } = CREDIT_TOTALS_SQL[database.dialect];
  try {
    await database.transaction(async ({ sql }) => {
      await sql.execute(add, [entriesOf(spans)]);
      // Last, so that the users' rows are locked for a moment only: the ledger waits for them.
      if ((await sql.execute(advance, [toJson(spans)])) !== spans.length)
        throw new RolledMeanwhile();
    });
    return true;
  } catch (error) {
    if (error instanceof RolledMeanwhile) return false;
    throw error;
  }
}

async function readMovements(database: Database, fromMs: number, toMs: number): Promise<Movements> {
  const markMs = await readMark(database);
  const inTotals = (ms: number) => ms < markMs;
  const range = {
    fromMs: inTotals(fromMs) ? quarterStart(fromMs) : fromMs,
    toMs: inTotals(toMs) ? quarterEnd(toMs) : toMs,
  };
  const moved = await sumMovements(database, range.fromMs, range.toMs);
  // What was exact may have gone into the totals between the two looks. The mark moves four times an hour.
  if ((await readMark(database)) !== markMs) return readMovements(database, fromMs, toMs);
  return { ...range, ...moved };
}

async function readMark({ models }: Database): Promise<number> {
  const row = await models.rollUp.findUnique({ where: { name: NAME } });
  return row?.rolledTo.getTime() ?? 0;
}

async function sumMovements({ models, dialect }: Database, fromMs: number, toMs: number) {
  const rows = await models.$queryRawUnsafe<{ type: string; given: unknown; taken: unknown }[]>(
    CREDIT_TOTALS_SQL[dialect].movements,
    Math.ceil(fromMs / QUARTER_MS),
    Math.ceil(toMs / QUARTER_MS),
    toSqlDate(dialect, new Date(fromMs)),
    toSqlDate(dialect, new Date(toMs)),
  );
  return {
    granted: rows.reduce((sum, { given }) => sum + Number(given), 0),
    spent: Number(rows.find(({ type }) => type === "USAGE")?.taken ?? 0),
  };
}
