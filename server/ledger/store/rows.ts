// Rows of the ledger's tables: `to…` converts a row to the model's type, and `…Values` returns the values of one row in
// the order of its columns in sql.ts.
import type { SqlSession } from "../../database/ports.ts";
import {
  fromSqlDate,
  fromSqlDateOrNull,
  type SqlDialect,
  toSqlDate,
} from "../../database/dates.ts";
import { cutText } from "../../lib/text.ts";
import type {
  Account,
  Entry,
  EntryCounts,
  Hold,
  Lot,
  LotShare,
  StoredKey,
  UsageRow,
} from "../model/account.ts";
import type { Movement } from "../model/batch.ts";
import { bySpendOrder } from "../model/lots.ts";

export interface UserRow {
  id: string;
  credits: number;
  heldCredits: number;
  ledgerSeq: number;
  rolledSeq: number;
  entryCounts: string;
  deleted: number;
  disabled: number;
  readAt: unknown;
}

export type LotRow = Omit<Lot, "expiresAtMs" | "createdAtMs"> & {
  expiresAt: unknown;
  createdAt: unknown;
};

export type HoldRow = Omit<Hold, "lots" | "expiresAtMs" | "createdAtMs" | "endedAtMs"> & {
  lots: string;
  expiresAt: unknown;
  createdAt: unknown;
  endedAt: unknown;
};

export interface KeyRow {
  userId: string;
  storedKey: string;
  inputHash: string;
  answer: string;
}

/** Returns one user's account; `lots` may be in any order. */
export function toAccount(row: UserRow, lots: Lot[] = [], holds: Hold[] = []): Account {
  return {
    userId: row.id,
    credits: row.credits,
    held: row.heldCredits,
    seq: row.ledgerSeq,
    rolledSeq: row.rolledSeq,
    counts: JSON.parse(row.entryCounts) as EntryCounts,
    deleted: row.deleted === 1,
    disabled: row.disabled === 1,
    lots: lots.sort(bySpendOrder),
    holds,
  };
}

/** Copies field by field, because every spend reads a lot or two and rest and spread would cost several times more. */
export function toLot({ dialect }: SqlSession, row: LotRow): Lot {
  return {
    id: row.id,
    userId: row.userId,
    amount: row.amount,
    remaining: row.remaining,
    source: row.source,
    sourceId: row.sourceId,
    grantKey: row.grantKey,
    expiresAtMs: fromSqlDateOrNull(dialect, row.expiresAt)?.getTime() ?? null,
    createdAtMs: fromSqlDate(dialect, row.createdAt).getTime(),
  };
}

export function toHold({ dialect }: SqlSession, row: HoldRow): Hold {
  const { expiresAt, createdAt, endedAt, lots, ...rest } = row;
  return {
    ...rest,
    lots: JSON.parse(lots) as LotShare[],
    expiresAtMs: fromSqlDate(dialect, expiresAt).getTime(),
    createdAtMs: fromSqlDate(dialect, createdAt).getTime(),
    endedAtMs: fromSqlDateOrNull(dialect, endedAt)?.getTime() ?? null,
  };
}

export function toStoredKey({ userId, storedKey, inputHash, answer }: KeyRow): StoredKey {
  return { userId, key: storedKey, inputHash, answer, createdAtMs: 0 };
}

/** Formats a moment, in milliseconds since 1970, for SQL. */
type DateWriter = (ms: number | null) => string | null;

/** Creates a formatter that formats each distinct moment once, because most rows of a batch share theirs. */
export function createDateWriter(dialect: SqlDialect): DateWriter {
  const known = new Map<number, string>();
  return (ms) => {
    if (ms === null) return null;
    let text = known.get(ms);
    if (text === undefined) {
      text = toSqlDate(dialect, new Date(ms));
      known.set(ms, text);
    }
    return text;
  };
}

export function userValues(account: Account): unknown[] {
  const { userId, credits, held, seq, rolledSeq, counts } = account;
  return [userId, credits, held, seq, rolledSeq, JSON.stringify(counts)];
}

export function newLotValues(lot: Lot, date: DateWriter): unknown[] {
  return [
    lot.id,
    lot.userId,
    lot.amount,
    lot.remaining,
    lot.remaining > 0 ? 1 : 0,
    lot.source,
    lot.sourceId,
    lot.grantKey,
    date(lot.expiresAtMs),
    date(lot.createdAtMs),
  ];
}

export function changedLotValues(lot: Lot): unknown[] {
  return [lot.id, lot.remaining, lot.remaining > 0 ? 1 : 0];
}

export function newHoldValues(hold: Hold, date: DateWriter): unknown[] {
  return [
    hold.id,
    hold.userId,
    hold.amount,
    hold.settledAmount,
    hold.status,
    hold.feature,
    hold.priceVersion,
    hold.idempotencyKey,
    hold.transactionId,
    JSON.stringify(hold.lots),
    hold.endedBy,
    date(hold.expiresAtMs),
    date(hold.createdAtMs),
    date(hold.endedAtMs),
  ];
}

export function changedHoldValues(hold: Hold, date: DateWriter): unknown[] {
  return [
    hold.id,
    hold.status,
    hold.settledAmount,
    hold.transactionId,
    hold.endedBy,
    date(hold.endedAtMs),
  ];
}

export function entryValues(entry: Entry, date: DateWriter): unknown[] {
  return [
    entry.userId,
    entry.seq,
    entry.id,
    entry.amount,
    entry.balance,
    entry.type,
    entry.feature,
    cut(entry.description, 500),
    JSON.stringify(entry.lots),
    entry.priceVersion,
    entry.sourceId,
    entry.metadata,
    date(entry.createdAtMs),
  ];
}

export function movementValues(movement: Movement, date: DateWriter): unknown[] {
  const { createdAtMs, id, type, given, taken } = movement;
  return [date(createdAtMs), id, type, given, taken];
}

export function usageValues(row: UsageRow, date: DateWriter): unknown[] {
  return [
    row.id,
    row.userId,
    row.feature,
    cut(row.model, 100),
    row.credits,
    Math.round(row.durationMs),
    row.success ? 1 : 0,
    cut(row.error, 500),
    row.inputTokens ?? null,
    row.outputTokens ?? null,
    date(row.createdAtMs),
  ];
}

export function keyValues(key: StoredKey, date: DateWriter): unknown[] {
  return [key.userId, key.key, key.inputHash, key.answer, date(key.createdAtMs)];
}

/** Cuts free text to its column. Half a surrogate pair would make the whole batch's JSON unreadable. */
function cut(value: string | null, maxLength: number): string | null {
  return value === null ? null : cutText(value, maxLength);
}
