import type { EntryType } from "../../shared/src/credit.ts";
import type { Database } from "../database/ports.ts";
import { fromSqlDate, fromSqlDateOrNull, type SqlDialect } from "../database/dates.ts";
import { serviceUnavailable } from "../database/errors.ts";
import { bySpendOrder } from "../ledger/model/lots.ts";
import { createUsageTotalsStore } from "../ledger/totals/usage-totals.store.ts";
import { groupBy } from "../lib/group-by.ts";
import { joinReads } from "../lib/join-reads.ts";
import type { BalanceRecord, HistoryLine } from "./credit.types.ts";
import type { CreditStore } from "./ports.ts";

/** How many lots a balance lists: those to be spent first. Further ones appear as these are used up. */
const MAX_LISTED_LOTS = 200;

/** Maximum number of balances per statement. */
const MAX_JOINED = 64;
/** Keeps the response to a request within three seconds: a 503 if the database does not respond. */
const READ_WITHIN_MS = 2_500;

// A single statement sees one snapshot, so lots and balance agree. The order is the spend order of model/lots.ts.
const balancesSql = (wanted: string) => `
  SELECT u.id AS userId, u.credits, u.heldCredits, u.ledgerSeq, u.entryCounts,
    CASE WHEN u.heldCredits = 0 THEN NULL ELSE
      (SELECT MIN(h.expiresAt) FROM credit_holds h WHERE h.userId = u.id AND h.status = 'ACTIVE')
    END AS holdEndsAt,
    g.id AS lotId, g.source, g.remaining, g.expiresAt, g.createdAt
  FROM users u LEFT JOIN (
    SELECT id, userId, source, remaining, expiresAt, createdAt, ROW_NUMBER() OVER (
      PARTITION BY userId ORDER BY expiresAt IS NULL, expiresAt, source = 'PURCHASE', createdAt, id
    ) AS place
    FROM credit_grants WHERE userId IN (${wanted}) AND isOpen = 1
  ) g ON g.userId = u.id AND g.place <= ${MAX_LISTED_LOTS}
  WHERE u.id IN (${wanted})`;

interface BalanceRow {
  userId: string;
  credits: number;
  heldCredits: number;
  ledgerSeq: number;
  entryCounts: string;
  holdEndsAt: unknown;
  lotId: string | null;
  source: string;
  remaining: number;
  expiresAt: unknown;
  createdAt: unknown;
}

/** Creates the store, for either database. */
export function createCreditStore(database: Database): CreditStore {
  return {
    balance: joinReads({
      readMany: (userIds) => readBalances(database, userIds),
      most: MAX_JOINED,
      withinMs: READ_WITHIN_MS,
      lateError: serviceUnavailable,
    }),
    entries: (userId, page) => readEntries(database, userId, page),
    // SQLite runs one statement at a time.
    maxUsageDays: database.dialect === "sqlite" ? 31 : Number.POSITIVE_INFINITY,
    usage: createUsageTotalsStore(database).read,
  };
}

async function readBalances(
  database: Database,
  userIds: readonly string[],
): Promise<Map<string, BalanceRecord>> {
  const wanted = userIds.map(() => "?").join();
  const rows = await database.read<BalanceRow>(balancesSql(wanted), [...userIds, ...userIds]);
  const balances = new Map<string, BalanceRecord>();
  for (const [userId, ofUser] of groupBy(rows, (row) => row.userId))
    balances.set(userId, toRecord(database, ofUser));
  return balances;
}

/** Returns one user's balance, from one row per listed lot or a single row without a lot. */
function toRecord(
  { dialect }: Database,
  rows: readonly [BalanceRow, ...BalanceRow[]],
): BalanceRecord {
  const [user] = rows;
  const lots = rows
    .flatMap((row) => (row.lotId === null ? [] : [toLot(dialect, row.lotId, row)]))
    .sort(bySpendOrder);
  return {
    credits: user.credits,
    held: user.heldCredits,
    seq: user.ledgerSeq,
    entryCounts: JSON.parse(user.entryCounts) as BalanceRecord["entryCounts"],
    lots,
    nextHoldEndsAtMs: fromSqlDateOrNull(dialect, user.holdEndsAt)?.getTime() ?? null,
  };
}

function toLot(dialect: SqlDialect, id: string, row: BalanceRow) {
  return {
    id,
    source: row.source,
    remaining: row.remaining,
    expiresAtMs: fromSqlDateOrNull(dialect, row.expiresAt)?.getTime() ?? null,
    createdAtMs: fromSqlDate(dialect, row.createdAt).getTime(),
  };
}

async function readEntries(
  { models }: Database,
  userId: string,
  { type, beforeSeq, skip, limit }: Parameters<CreditStore["entries"]>[1],
): Promise<HistoryLine[]> {
  const rows = await models.creditLog.findMany({
    where: { userId, seq: { lt: beforeSeq }, ...(type === undefined ? {} : { type }) },
    orderBy: { seq: "desc" },
    skip,
    take: limit,
    select: {
      id: true,
      seq: true,
      amount: true,
      balance: true,
      type: true,
      feature: true,
      description: true,
      createdAt: true,
    },
  });
  return rows.map((row) => ({
    ...row,
    type: row.type as EntryType,
    createdAt: row.createdAt.toISOString(),
  }));
}
