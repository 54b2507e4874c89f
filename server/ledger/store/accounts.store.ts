// Reads accounts from the database and writes decisions to it. The only place that writes credits.
import { fromSqlDate } from "../../database/dates.ts";
import type { SqlSession } from "../../database/ports.ts";
import { groupBy } from "../../lib/group-by.ts";
import type { BatchWrites, LoadedBatch } from "../model/batch.ts";
import type { LedgerOperation } from "../ports.ts";
import {
  changedHoldValues,
  changedLotValues,
  createDateWriter,
  entryValues,
  type HoldRow,
  type KeyRow,
  keyValues,
  type LotRow,
  movementValues,
  newHoldValues,
  newLotValues,
  toAccount,
  toHold,
  toLot,
  toStoredKey,
  usageValues,
  type UserRow,
  userValues,
} from "./rows.ts";
import { forRows, LEDGER_SQL } from "./sql.ts";

/**
 * Locks the operations' users in id order and reads what their decisions depend on. `onHeld` says what to do about rows
 * that other transactions hold: wait for them, or leave their users out. The reads do not wait for the lock before they
 * are sent, but run after it all the same, being on the same connection: in a raw transaction all go in one round trip,
 * in a Prisma transaction each is sent once the previous one has succeeded.
 */
export async function loadBatch(
  session: SqlSession,
  operations: readonly LedgerOperation[],
  onHeld: "wait" | "skip",
): Promise<LoadedBatch> {
  const sql = LEDGER_SQL[session.dialect];
  const { userIds, keys, grantKeys, holdIds } = referencesOf(operations);
  const users = JSON.stringify(userIds.map((id) => [id]));
  const read = <Row>(text: string, wanted: readonly unknown[]): Promise<Row[]> =>
    wanted.length === 0
      ? Promise.resolve([])
      : session.query<Row>(text, [JSON.stringify(unique(wanted))]);

  const [userRows, lotRows, keyRows, grantRows, namedHolds] = await allDone([
    session.query<UserRow>(onHeld === "wait" ? sql.lockUsers : sql.lockFreeUsers, [users]),
    session.query<LotRow>(sql.openLots, [users]),
    read<KeyRow>(sql.keys, keys),
    read<LotRow>(sql.lotsByGrantKey, grantKeys),
    read<HoldRow>(sql.holdsById, holdIds),
  ] as const);
  // Most users have no holds, and hardly ever is one missing, so this second round trip is rare.
  const holders = userRows.filter((row) => row.heldCredits !== 0).map((row) => [row.id]);
  const found = new Set(userRows.map((row) => row.id));
  const missing = onHeld === "wait" ? [] : userIds.filter((id) => !found.has(id));
  const [activeHolds, heldElsewhere] = await allDone([
    read<HoldRow>(sql.activeHolds, holders),
    read<{ id: string }>(
      sql.existingUsers,
      missing.map((id) => [id]),
    ),
  ] as const);

  const lots = groupBy(
    lotRows.map((row) => toLot(session, row)),
    byUser,
  );
  const holdRows = new Map([...activeHolds, ...namedHolds].map((row) => [row.id, row]));
  const holds = groupBy(
    [...holdRows.values()].map((row) => toHold(session, row)),
    byUser,
  );
  return {
    accounts: new Map(
      userRows.map((row) => [row.id, toAccount(row, lots.get(row.id), holds.get(row.id))]),
    ),
    keys: new Map(keyRows.map((row) => [`${row.userId} ${row.storedKey}`, toStoredKey(row)])),
    grants: new Map(grantRows.map((row) => [row.grantKey, toLot(session, row)])),
    heldElsewhere: new Set(heldElsewhere.map(({ id }) => id)),
    readAtMs: readAtOf(session, userRows),
  };
}

/** Writes a batch's decisions: one multi-row statement per table and kind of write, all sent without waiting. */
export async function saveBatch(session: SqlSession, writes: BatchWrites): Promise<void> {
  const sql = LEDGER_SQL[session.dialect];
  const date = createDateWriter(session.dialect);
  const update = <Row>(text: string, rows: readonly Row[], values: (row: Row) => unknown[]) =>
    rows.length === 0
      ? Promise.resolve(0)
      : session.execute(text, [JSON.stringify(rows.map(values))]);
  const insert = <Row>(text: string, rows: readonly Row[], values: (row: Row) => unknown[]) =>
    rows.length === 0 || session.dialect === "sqlite"
      ? update(text, rows, values)
      : session.execute(forRows(text, rows.length), rows.flatMap(values));
  await allDone([
    update(sql.updateUsers, writes.accounts, userValues),
    insert(sql.insertLots, writes.newLots, (lot) => newLotValues(lot, date)),
    update(sql.updateLots, writes.changedLots, changedLotValues),
    insert(sql.insertHolds, writes.newHolds, (hold) => newHoldValues(hold, date)),
    update(sql.updateHolds, writes.changedHolds, (hold) => changedHoldValues(hold, date)),
    insert(sql.insertEntries, writes.entries, (entry) => entryValues(entry, date)),
    insert(sql.insertMovements, writes.movements, (row) => movementValues(row, date)),
    insert(sql.insertUsage, writes.usage, (row) => usageValues(row, date)),
    insert(sql.insertKeys, writes.newKeys, (key) => keyValues(key, date)),
  ]);
}

/** Returns when the users were read. The first row is enough: all rows of a statement carry the same time. */
function readAtOf({ dialect }: SqlSession, [row]: readonly UserRow[]): number | null {
  return row === undefined ? null : fromSqlDate(dialect, row.readAt).getTime();
}

const byUser = (row: { readonly userId: string }) => row.userId;

/** Returns what the operations refer to, users in ascending order so that two batches never deadlock. */
function referencesOf(operations: readonly LedgerOperation[]) {
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
  return { userIds: [...userIds].sort(), keys, grantKeys, holdIds };
}

/** Removes duplicates: a key used twice in a batch must not come back as two rows. */
function unique(rows: readonly unknown[]): unknown[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}

/** Like Promise.all, but rejects only once every statement has ended, so that none is in flight at the rollback. */
async function allDone<const T extends readonly Promise<unknown>[]>(
  tasks: T,
): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }> {
  await Promise.allSettled(tasks);
  return Promise.all(tasks);
}
