// Owns what the credit service reads out of the database. Credits are written by server/ledger alone.
import type { EntryType } from "../../shared/src/credit.ts";
import type { Database } from "../database/database.ts";
import { fromSqlDate, fromSqlDateOrNull, toSqlDate } from "../database/sql-dates.ts";
import { bySpendOrder } from "../ledger/model/lots.ts";
import type { BalanceRecord, CreditStore, UsageBucket } from "./credit.service.ts";

const BUCKET_SECONDS = 900;

// One statement sees one moment: the lots it reads add up to the balance it reads.
const BALANCE = `
  SELECT u.credits, u.heldCredits, u.ledgerSeq, u.entryCounts,
    CASE WHEN u.heldCredits = 0 THEN NULL ELSE
      (SELECT MIN(h.expiresAt) FROM credit_holds h WHERE h.userId = u.id AND h.status = 'ACTIVE')
    END AS holdEndsAt,
    g.id AS lotId, g.source, g.remaining, g.expiresAt, g.createdAt
  FROM users u LEFT JOIN credit_grants g ON g.userId = u.id AND g.isOpen = 1
  WHERE u.id = ?`;

// Quarters of an hour: every time zone's days begin on one, so days are cut later, in any zone.
const BUCKET = {
  mysql: `TIMESTAMPDIFF(SECOND, '1970-01-01 00:00:00', createdAt) DIV ${BUCKET_SECONDS}`,
  sqlite: `CAST(strftime('%s', createdAt) AS INTEGER) / ${BUCKET_SECONDS}`,
} as const;

interface BalanceRow {
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

/** The store over Prisma, the same on both databases. */
export function createCreditStore({ models, dialect }: Database): CreditStore {
  return {
    async balance(userId) {
      const rows = await models.$queryRawUnsafe<BalanceRow[]>(BALANCE, userId);
      const [user] = rows;
      if (user === undefined) return null;
      const lots = rows
        .filter((row) => row.lotId !== null)
        .map((row) => ({
          id: row.lotId ?? "",
          userId,
          amount: 0,
          remaining: row.remaining,
          source: row.source,
          sourceId: null,
          grantKey: "",
          expiresAtMs: fromSqlDateOrNull(dialect, row.expiresAt)?.getTime() ?? null,
          createdAtMs: fromSqlDate(dialect, row.createdAt).getTime(),
        }))
        .sort(bySpendOrder);
      return {
        credits: user.credits,
        held: user.heldCredits,
        seq: user.ledgerSeq,
        entryCounts: JSON.parse(user.entryCounts) as BalanceRecord["entryCounts"],
        lots,
        nextHoldEndsAtMs: fromSqlDateOrNull(dialect, user.holdEndsAt)?.getTime() ?? null,
      };
    },

    async entries(userId, { type, beforeSeq, skip, limit }) {
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
    },

    async usage(userId, from, to) {
      const rows = await models.$queryRawUnsafe<Record<string, unknown>[]>(
        `SELECT feature, ${BUCKET[dialect]} AS bucket, SUM(credits) AS credits, COUNT(*) AS calls
         FROM usage_logs WHERE userId = ? AND createdAt >= ? AND createdAt < ?
         GROUP BY feature, bucket`,
        userId,
        toSqlDate(dialect, from),
        toSqlDate(dialect, to),
      );
      return rows.map(
        (row): UsageBucket => ({
          feature: String(row["feature"]),
          startsAtMs: Number(row["bucket"]) * BUCKET_SECONDS * 1000,
          credits: Number(row["credits"]),
          calls: Number(row["calls"]),
        }),
      );
    },
  };
}
