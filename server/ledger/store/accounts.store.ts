// Owns reading accounts out of the database and writing decisions into it. The only place that writes credits.
import { cutText } from "../../lib/text.ts";
import type { SqlSession } from "../../database/database.ts";
import { fromSqlDate, fromSqlDateOrNull, toSqlDate } from "../../database/sql-dates.ts";
import type { Account, EntryCounts, Hold, Lot, LotShare, StoredKey } from "../model/account.ts";
import { bySpendOrder } from "../model/lots.ts";
import type { LedgerOperation } from "../ports.ts";
import type { Sheet } from "../writer/batch-state.ts";
import { LEDGER_SQL } from "./sql.ts";

/** Everything a batch needs to decide, read under the users' row locks. */
export interface Loaded {
  readonly accounts: ReadonlyMap<string, Account>;
  /** By `userId key` (ids hold no spaces). */
  readonly keys: ReadonlyMap<string, StoredKey>;
  readonly grants: ReadonlyMap<string, Lot>;
}

interface UserRow {
  id: string;
  credits: number;
  heldCredits: number;
  ledgerSeq: number;
  entryCounts: string;
  deleted: number;
  disabled: number;
}
type LotRow = Omit<Lot, "expiresAtMs" | "createdAtMs"> & { expiresAt: unknown; createdAt: unknown };
type HoldRow = Omit<Hold, "lots" | "expiresAtMs" | "createdAtMs" | "endedAtMs"> & {
  lots: string;
  expiresAt: unknown;
  createdAt: unknown;
  endedAt: unknown;
};
interface KeyRow {
  userId: string;
  storedKey: string;
  inputHash: string;
  answer: string;
}

/**
 * Locks the operations' users in id order and reads what their decisions depend on. The reads are sent behind the
 * lock on the same connection without waiting for it: they run after it all the same, one round trip in all.
 */
export async function load(
  session: SqlSession,
  operations: readonly LedgerOperation[],
): Promise<Loaded> {
  const sql = LEDGER_SQL[session.dialect];
  const userIds = new Set<string>();
  const keys: [string, string][] = [];
  const grantKeys: [string][] = [];
  const holdIds: [string, string][] = [];
  for (const operation of operations) {
    userIds.add(operation.userId);
    if ("idempotencyKey" in operation) keys.push([operation.userId, operation.idempotencyKey]);
    if (operation.kind === "grant") grantKeys.push([operation.grantKey]);
    if ("holdId" in operation) holdIds.push([operation.holdId, operation.userId]);
  }
  const users = JSON.stringify([...userIds].sort().map((id) => [id]));
  const read = <Row>(text: string, wanted: readonly unknown[]): Promise<Row[]> =>
    wanted.length === 0
      ? Promise.resolve([])
      : session.query<Row>(text, [JSON.stringify(unique(wanted))]);

  const [userRows, lotRows, keyRows, grantRows, namedHolds] = await allDone([
    session.query<UserRow>(sql.lockUsers, [users]),
    session.query<LotRow>(sql.openLots, [users]),
    read<KeyRow>(sql.keys, keys),
    read<LotRow>(sql.lotsByGrantKey, grantKeys),
    read<HoldRow>(sql.holdsById, holdIds),
  ] as const);
  // Most users hold nothing, so this second trip is rare.
  const holders = userRows.filter((row) => row.heldCredits !== 0).map((row) => [row.id]);
  const activeHolds = await read<HoldRow>(sql.activeHolds, holders);

  const lots = groupBy(lotRows.map((row) => toLot(session, row)));
  const holdRows = new Map([...activeHolds, ...namedHolds].map((row) => [row.id, row]));
  const holds = groupBy([...holdRows.values()].map((row) => toHold(session, row)));
  return {
    accounts: new Map(
      userRows.map((row) => [row.id, toAccount(row, lots.get(row.id), holds.get(row.id))]),
    ),
    keys: new Map(
      keyRows.map(({ userId, storedKey, inputHash, answer }) => [
        `${userId} ${storedKey}`,
        { userId, key: storedKey, inputHash, answer, createdAtMs: 0 },
      ]),
    ),
    grants: new Map(grantRows.map((row) => [row.grantKey, toLot(session, row)])),
  };
}

/** Writes what a batch decided: one multi-row statement per table, all sent at once. */
export async function save(session: SqlSession, sheet: Sheet): Promise<void> {
  const sql = LEDGER_SQL[session.dialect];
  const date = dateWriter(session.dialect);
  const write = (text: string, rows: readonly unknown[][]): Promise<number> =>
    rows.length === 0 ? Promise.resolve(0) : session.execute(text, [JSON.stringify(rows)]);
  const changes = sheet.changes();
  await allDone([
    write(
      sql.updateUsers,
      changes.accounts.map((a) => [a.userId, a.credits, a.held, a.seq, JSON.stringify(a.counts)]),
    ),
    write(
      sql.insertLots,
      changes.newLots.map((lot) => [
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
      ]),
    ),
    write(
      sql.updateLots,
      changes.changedLots.map((lot) => [lot.id, lot.remaining, lot.remaining > 0 ? 1 : 0]),
    ),
    write(
      sql.insertHolds,
      changes.newHolds.map((hold) => [
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
      ]),
    ),
    write(
      sql.updateHolds,
      changes.changedHolds.map((hold) => [
        hold.id,
        hold.status,
        hold.settledAmount,
        hold.transactionId,
        hold.endedBy,
        date(hold.endedAtMs),
      ]),
    ),
    write(
      sql.insertEntries,
      sheet.entries.map((entry) => [
        entry.userId,
        entry.seq,
        entry.id,
        entry.amount,
        entry.balance,
        entry.type,
        entry.feature,
        text(entry.description, 500),
        JSON.stringify(entry.lots),
        entry.priceVersion,
        entry.sourceId,
        entry.metadata,
        date(entry.createdAtMs),
      ]),
    ),
    write(
      sql.insertUsage,
      sheet.usage.map((row) => [
        row.id,
        row.userId,
        row.feature,
        text(row.model, 100),
        row.credits,
        Math.round(row.durationMs),
        row.success ? 1 : 0,
        text(row.error, 500),
        row.inputTokens ?? null,
        row.outputTokens ?? null,
        date(row.createdAtMs),
      ]),
    ),
    write(
      sql.insertKeys,
      sheet.newKeys.map((key) => [
        key.userId,
        key.key,
        key.inputHash,
        key.answer,
        date(key.createdAtMs),
      ]),
    ),
  ]);
}

function toAccount(row: UserRow, lots: Lot[] = [], holds: Hold[] = []): Account {
  return {
    userId: row.id,
    credits: row.credits,
    held: row.heldCredits,
    seq: row.ledgerSeq,
    counts: JSON.parse(row.entryCounts) as EntryCounts,
    deleted: row.deleted === 1,
    disabled: row.disabled === 1,
    lots: lots.sort(bySpendOrder),
    holds,
  };
}

function toLot({ dialect }: SqlSession, row: LotRow): Lot {
  const { expiresAt, createdAt, ...rest } = row;
  return {
    ...rest,
    expiresAtMs: fromSqlDateOrNull(dialect, expiresAt)?.getTime() ?? null,
    createdAtMs: fromSqlDate(dialect, createdAt).getTime(),
  };
}

function toHold({ dialect }: SqlSession, row: HoldRow): Hold {
  const { expiresAt, createdAt, endedAt, lots, ...rest } = row;
  return {
    ...rest,
    lots: JSON.parse(lots) as LotShare[],
    expiresAtMs: fromSqlDate(dialect, expiresAt).getTime(),
    createdAtMs: fromSqlDate(dialect, createdAt).getTime(),
    endedAtMs: fromSqlDateOrNull(dialect, endedAt)?.getTime() ?? null,
  };
}

function groupBy<Row extends { userId: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.userId);
    if (group === undefined) groups.set(row.userId, [row]);
    else group.push(row);
  }
  return groups;
}

/** What a person wrote, cut to its column; half a surrogate pair would make the whole batch's JSON unreadable. */
function text(value: string | null, maxLength: number): string | null {
  return value === null ? null : cutText(value, maxLength);
}

/** Each row once: a key used twice in a batch must not come back as two rows. */
function unique(rows: readonly unknown[]): unknown[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}

/** Dates as SQL, written once per distinct moment: the rows of a batch share theirs. */
function dateWriter(dialect: SqlSession["dialect"]): (ms: number | null) => string | null {
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

/** Like Promise.all, but fails only when every statement has ended, so that a rollback finds none of them under way. */
async function allDone<const T extends readonly Promise<unknown>[]>(
  tasks: T,
): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }> {
  await Promise.allSettled(tasks);
  return Promise.all(tasks);
}
