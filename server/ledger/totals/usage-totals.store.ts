import { fromSqlDate, toSqlDate } from "../../database/dates.ts";
import type { Database } from "../../database/ports.ts";
import { advanceMark, readMark } from "../../database/roll-up-mark.ts";
import type { UsageLine, UsageRange, UsageTotalsStore } from "./ports.ts";
import { QUARTER_MS, QUARTERS_PER_DAY, quarterEnd, quarterOf, quarterStart } from "./quarters.ts";

/** The name of the mark in `roll_ups`: calls before it are in the totals. */
const NAME = "usage";

/** The statements, per dialect. */
export const USAGE_TOTALS_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") };

function statements(dialect: Database["dialect"]) {
  const isMysql = dialect === "mysql";
  const logs = isMysql
    ? "STRAIGHT_JOIN usage_logs l FORCE INDEX (PRIMARY)"
    : "CROSS JOIN usage_logs l";
  const write = isMysql
    ? "ON DUPLICATE KEY UPDATE credits = VALUES(credits), calls = VALUES(calls), firstAt = VALUES(firstAt)"
    : "ON CONFLICT (userId, quarter, feature) DO UPDATE SET credits = excluded.credits, calls = excluded.calls, firstAt = excluded.firstAt";
  // Days of 24 hours since an origin. The caller knows which days have 24 hours; the database knows no time zones.
  const day = isMysql
    ? "TIMESTAMPDIFF(SECOND, ?, createdAt) DIV 86400"
    : "(CAST(strftime('%s', createdAt) AS INTEGER) - CAST(strftime('%s', ?) AS INTEGER)) / 86400";
  const divide = isMysql ? "DIV" : "/";
  return {
    /** Parameters: from, to, then the users: after this id, up to that one. */
    count: `INSERT INTO usage_totals (userId, quarter, feature, credits, calls, firstAt)
      SELECT l.userId, ${quarterOf(dialect, "l.createdAt")} AS q, l.feature, SUM(l.credits), COUNT(*), MIN(l.createdAt)
      FROM users u ${logs} ON l.userId = u.id AND l.createdAt >= ? AND l.createdAt < ?
      WHERE u.id > ? AND u.id <= ? GROUP BY l.userId, q, l.feature ${write}`,
    /** Parameters: origin, user, from, to (moments as dates). */
    calls: `SELECT feature, ${day} AS dayNumber, MIN(createdAt) AS firstAt, SUM(credits) AS credits, COUNT(*) AS calls
      FROM usage_logs WHERE userId = ? AND createdAt >= ? AND createdAt < ? GROUP BY feature, dayNumber`,
    /**
     * Parameters: origin, user, from, to (moments as quarters). Sums doubles, which are exact up to 2^53, because MySQL
     * sums integers as DECIMAL, which is slower.
     */
    totals: `SELECT feature, (quarter - ?) ${divide} ${QUARTERS_PER_DAY} AS dayNumber, MIN(firstAt) AS firstAt, SUM(credits + 0e0) AS credits, SUM(calls + 0e0) AS calls
      FROM usage_totals WHERE userId = ? AND quarter >= ? AND quarter < ? GROUP BY feature, dayNumber`,
  };
}

/** Creates the store, for either database. */
export function createUsageTotalsStore(database: Database): UsageTotalsStore {
  const { models, dialect } = database;
  return {
    rolledTo: () => readMark(models, NAME),
    async firstUserAt() {
      const first = await models.user.findFirst({
        orderBy: { createdAt: "asc" },
        select: { createdAt: true },
      });
      return first?.createdAt.getTime() ?? null;
    },
    async lastOfPage(afterUserId, users) {
      const ids = await models.user.findMany({
        where: { id: { gt: afterUserId } },
        orderBy: { id: "asc" },
        take: users,
        select: { id: true },
      });
      return ids.at(-1)?.id ?? null;
    },
    async count({ after, last }, fromMs, toMs) {
      const [from, to] = [fromMs, toMs].map((ms) => toSqlDate(dialect, new Date(ms)));
      await database.transaction(({ sql }) =>
        sql.execute(USAGE_TOTALS_SQL[dialect].count, [from, to, after, last]),
      );
    },
    advance: (ms) => advanceMark(models, NAME, ms),
    async startAnew(ms) {
      await models.rollUp.updateMany({
        where: { name: NAME, rolledTo: { gt: new Date(ms) } },
        data: { rolledTo: new Date(0) },
      });
    },
    async read(userId, ranges) {
      // Totals before the mark are settled, so the statements need not see the same snapshot.
      const markMs = await readMark(models, NAME);
      const lines: UsageLine[][] = [];
      for (const range of ranges) lines.push(await readRange(database, userId, range, markMs));
      return lines;
    },
  };
}

/** One part of the union, with its parameters. */
interface Part {
  readonly sql: string;
  readonly params: readonly unknown[];
}

async function readRange(
  database: Database,
  userId: string,
  range: UsageRange,
  markMs: number,
): Promise<UsageLine[]> {
  const { dialect } = database;
  const { fromMs, toMs } = range;
  // A historical time zone may be offset from UTC by odd minutes and seconds; its days are counted call by call.
  const isWhole = range.originMs % QUARTER_MS === 0;
  const wholeFromMs = isWhole ? Math.min(quarterEnd(fromMs), toMs) : toMs;
  const wholeToMs = Math.max(wholeFromMs, Math.min(quarterStart(toMs), markMs));
  const parts: Part[] = [];
  if (fromMs < wholeFromMs) parts.push(calls(dialect, userId, { ...range, toMs: wholeFromMs }));
  if (wholeFromMs < wholeToMs)
    parts.push(totals(dialect, userId, { ...range, fromMs: wholeFromMs, toMs: wholeToMs }));
  if (wholeToMs < toMs) parts.push(calls(dialect, userId, { ...range, fromMs: wholeToMs }));
  if (parts.length === 0) return [];
  const rows = await database.read<Record<string, unknown>>(
    parts.map(({ sql }) => sql).join(" UNION ALL "),
    parts.flatMap(({ params }) => params),
  );
  return merged(
    rows.map((row) => ({
      feature: String(row["feature"]),
      day: Number(row["dayNumber"]),
      firstAtMs: fromSqlDate(dialect, row["firstAt"]).getTime(),
      credits: Number(row["credits"]),
      calls: Number(row["calls"]),
    })),
  );
}

function calls(dialect: Database["dialect"], userId: string, range: UsageRange): Part {
  const [origin, from, to] = [range.originMs, range.fromMs, range.toMs].map((ms) =>
    toSqlDate(dialect, new Date(ms)),
  );
  return { sql: USAGE_TOTALS_SQL[dialect].calls, params: [origin, userId, from, to] };
}

function totals(dialect: Database["dialect"], userId: string, range: UsageRange): Part {
  const [origin, from, to] = [range.originMs, range.fromMs, range.toMs].map(
    (ms) => ms / QUARTER_MS,
  );
  return { sql: USAGE_TOTALS_SQL[dialect].totals, params: [origin, userId, from, to] };
}

/** Merges the lines into one per feature and day. */
function merged(lines: readonly UsageLine[]): UsageLine[] {
  const byDay = new Map<string, UsageLine>();
  for (const line of lines) {
    const key = `${line.day} ${line.feature}`;
    const known = byDay.get(key);
    byDay.set(
      key,
      known === undefined
        ? line
        : {
            ...line,
            firstAtMs: Math.min(known.firstAtMs, line.firstAtMs),
            credits: known.credits + line.credits,
            calls: known.calls + line.calls,
          },
    );
  }
  return [...byDay.values()];
}
