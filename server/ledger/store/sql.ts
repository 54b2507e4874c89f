// The ledger's SQL: constant statements, each with one JSON parameter that carries the whole batch. Only inserts on
// MySQL and MariaDB list their rows in VALUES, which costs a quarter to a third less there than a JSON table.
import type { SqlDialect } from "../../database/dates.ts";

/** MySQL types of the values in a JSON parameter. Ids, keys and texts compare byte by byte, like their columns. */
const TYPES = {
  id: "VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
  key: "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
  text: "VARCHAR(8000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
  long: "MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
  int: "INT",
  bigint: "BIGINT",
  date: "DATETIME(3)",
} as const;

type Columns = Readonly<Record<string, keyof typeof TYPES>>;

/** Returns SQL for the JSON parameter `[[…], …]` as a table `alias` with `columns`. */
export function jsonTable(dialect: SqlDialect, columns: Columns, alias = "j"): string {
  const named = Object.entries(columns);
  if (dialect === "sqlite") {
    const selected = named.map(([name], i) => `json_extract(value, '$[${i}]') AS ${name}`);
    return `(SELECT ${selected.join(", ")} FROM json_each(?)) AS ${alias}`;
  }
  // Without ERROR ON ERROR, a value that does not fit would silently become NULL.
  const typed = named.map(
    ([name, type], i) => `\`${name}\` ${TYPES[type]} PATH '$[${i}]' ERROR ON ERROR`,
  );
  return `JSON_TABLE(?, '$[*]' COLUMNS (${typed.join(", ")})) AS ${alias}`;
}

/** Selects the rows of a table that a JSON parameter names. */
interface Lookup {
  readonly columns: string;
  readonly parameter: Columns;
  readonly table: string;
  readonly index: string;
  readonly condition: string;
}

/**
 * Selects `columns` of `table` for every matching row of the parameter. Forces `index`, because on fresh tables the
 * optimizer prefers a scan, which locks what it scans. The parameter's order is the locking order.
 */
function select(dialect: SqlDialect, lookup: Lookup): string {
  const { columns, parameter, table, index, condition } = lookup;
  const from = jsonTable(dialect, parameter);
  if (dialect === "sqlite") {
    return `SELECT ${columns} FROM ${from} CROSS JOIN ${table} AS t ON ${condition}`;
  }
  return `SELECT STRAIGHT_JOIN ${columns} FROM ${from} JOIN ${table} AS t FORCE INDEX (${index}) ON ${condition}`;
}

/** Inserts rows: on SQLite those of the JSON parameter, on MySQL and MariaDB one row, which `forRows` extends. */
function insert(dialect: SqlDialect, table: string, columns: Columns): string {
  const names = Object.keys(columns);
  if (dialect === "mysql") {
    const quoted = names.map((name) => `\`${name}\``);
    return `INSERT INTO ${table} (${quoted.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`;
  }
  const from = names.map((name) => `j."${name}"`);
  const quoted = names.map((name) => `"${name}"`);
  return `INSERT INTO ${table} (${quoted.join(", ")}) SELECT ${from.join(", ")} FROM ${jsonTable(dialect, columns)} WHERE 1 = 1`;
}

/** Extends a statement that inserts one row so that it inserts `rows`. */
export function forRows(insertOne: string, rows: number): string {
  const row = insertOne.slice(insertOne.lastIndexOf("("));
  return insertOne + `, ${row}`.repeat(rows - 1);
}

/**
 * Selects `columns` of the users named by the parameter and locks their rows. The JSON table is inside a subquery
 * because MySQL refuses a locking clause beside it (error 3569), and MariaDB has no `FOR UPDATE OF`. Only user rows are
 * locked. `onLocked` is what to do about rows that others hold: nothing, which waits for them, or SKIP LOCKED.
 */
function lockUsers(dialect: SqlDialect, columns: string, onLocked: "" | " SKIP LOCKED"): string {
  const parameter = { id: "id" } as const;
  // SQLite has no row locks and needs none, because it allows one writer at a time.
  if (dialect === "sqlite") {
    const condition = "t.id = j.id";
    return select(dialect, { columns, parameter, table: "users", index: "PRIMARY", condition });
  }
  const wanted = `(SELECT n.id FROM ${jsonTable(dialect, parameter, "n")}) AS j`;
  return `SELECT STRAIGHT_JOIN ${columns} FROM ${wanted} JOIN users AS t FORCE INDEX (PRIMARY) ON t.id = j.id FOR UPDATE${onLocked}`;
}

/** Updates every column but `id` of the rows with the given ids. */
function update(dialect: SqlDialect, table: string, columns: Columns): string {
  const names = Object.keys(columns).filter((name) => name !== "id");
  if (dialect === "mysql") {
    const set = names.map((name) => `t.${name} = j.${name}`).join(", ");
    return `UPDATE ${jsonTable(dialect, columns)} STRAIGHT_JOIN ${table} AS t FORCE INDEX (PRIMARY) ON t.id = j.id SET ${set}`;
  }
  const set = names.map((name) => `${name} = j.${name}`).join(", ");
  return `UPDATE ${table} SET ${set} FROM ${jsonTable(dialect, columns)} WHERE ${table}.id = j.id`;
}

const USER_COLUMNS =
  "t.id, t.credits, t.heldCredits, t.ledgerSeq, t.rolledSeq, t.entryCounts, t.deletedAt IS NOT NULL AS deleted, t.disabledAt IS NOT NULL AS disabled";
/** When a row was read, by the database's clock. */
const READ_AT = { mysql: "UTC_TIMESTAMP(3)", sqlite: "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')" };
const LOT_COLUMNS =
  "t.id, t.userId, t.amount, t.remaining, t.source, t.sourceId, t.grantKey, t.expiresAt, t.createdAt";
const HOLD_COLUMNS =
  "t.id, t.userId, t.amount, t.status, t.settledAmount, t.feature, t.priceVersion, t.idempotencyKey, t.transactionId, t.lots, t.endedBy, t.expiresAt, t.createdAt, t.endedAt";

const LOOKUPS = {
  /** Parameter: [[userId], …]. Neither locks nor waits. */
  existingUsers: {
    columns: "t.id",
    parameter: { id: "id" },
    table: "users",
    index: "PRIMARY",
    condition: "t.id = j.id",
  },
  /** Parameter: [[userId], …] */
  openLots: {
    columns: LOT_COLUMNS,
    parameter: { id: "id" },
    table: "credit_grants",
    index: "credit_grants_userId_isOpen_idx",
    condition: "t.userId = j.id AND t.isOpen = 1",
  },
  /** Parameter: [[grantKey], …] */
  lotsByGrantKey: {
    columns: LOT_COLUMNS,
    parameter: { id: "key" },
    table: "credit_grants",
    index: "credit_grants_grantKey_key",
    condition: "t.grantKey = j.id",
  },
  /** Parameter: [[userId, key], …] */
  keys: {
    columns: "t.userId, t.`key` AS storedKey, t.inputHash, t.answer",
    parameter: { userId: "id", name: "key" },
    table: "idempotency_keys",
    index: "PRIMARY",
    condition: "t.userId = j.userId AND t.`key` = j.name",
  },
  /** Parameter: [[userId], …] */
  activeHolds: {
    columns: HOLD_COLUMNS,
    parameter: { id: "id" },
    table: "credit_holds",
    index: "credit_holds_userId_status_idx",
    condition: "t.userId = j.id AND t.status = 'ACTIVE'",
  },
  /** Parameter: [[holdId, userId], …] */
  holdsById: {
    columns: HOLD_COLUMNS,
    parameter: { id: "id", userId: "id" },
    table: "credit_holds",
    index: "PRIMARY",
    condition: "t.id = j.id AND t.userId = j.userId",
  },
} as const satisfies Readonly<Record<string, Lookup>>;

// The columns of each writing statement, in the order in which rows.ts supplies the values.
const NEW_LOT: Columns = {
  id: "id",
  userId: "id",
  amount: "int",
  remaining: "int",
  isOpen: "int",
  source: "key",
  sourceId: "key",
  grantKey: "key",
  expiresAt: "date",
  createdAt: "date",
};
const NEW_HOLD: Columns = {
  id: "id",
  userId: "id",
  amount: "int",
  settledAmount: "int",
  status: "key",
  feature: "key",
  priceVersion: "key",
  idempotencyKey: "key",
  transactionId: "id",
  lots: "long",
  endedBy: "id",
  expiresAt: "date",
  createdAt: "date",
  endedAt: "date",
};
const NEW_ENTRY: Columns = {
  userId: "id",
  seq: "int",
  id: "id",
  amount: "int",
  balance: "int",
  type: "key",
  feature: "key",
  description: "text",
  lots: "long",
  priceVersion: "key",
  sourceId: "key",
  metadata: "text",
  createdAt: "date",
};
const NEW_MOVEMENT: Columns = {
  createdAt: "date",
  id: "id",
  type: "key",
  given: "bigint",
  taken: "bigint",
};
const NEW_USAGE: Columns = {
  id: "id",
  userId: "id",
  feature: "key",
  model: "key",
  credits: "int",
  durationMs: "int",
  success: "int",
  error: "text",
  inputTokens: "int",
  outputTokens: "int",
  createdAt: "date",
};
const NEW_KEY: Columns = {
  userId: "id",
  key: "key",
  inputHash: "key",
  answer: "text",
  createdAt: "date",
};
const CHANGED_USER: Columns = {
  id: "id",
  credits: "int",
  heldCredits: "int",
  ledgerSeq: "int",
  rolledSeq: "int",
  entryCounts: "text",
};
const CHANGED_LOT: Columns = { id: "id", remaining: "int", isOpen: "int" };
const CHANGED_HOLD: Columns = {
  id: "id",
  status: "key",
  settledAmount: "int",
  transactionId: "id",
  endedBy: "id",
  endedAt: "date",
};

function statements(dialect: SqlDialect) {
  const user = `${USER_COLUMNS}, ${READ_AT[dialect]} AS readAt`;
  return {
    /** Parameter: [[userId], …] in ascending order, so that two transactions never deadlock. */
    lockUsers: lockUsers(dialect, user, ""),
    /** The same, without the users whose rows other transactions hold. */
    lockFreeUsers: lockUsers(dialect, user, " SKIP LOCKED"),
    existingUsers: select(dialect, LOOKUPS.existingUsers),
    openLots: select(dialect, LOOKUPS.openLots),
    lotsByGrantKey: select(dialect, LOOKUPS.lotsByGrantKey),
    keys: select(dialect, LOOKUPS.keys),
    activeHolds: select(dialect, LOOKUPS.activeHolds),
    holdsById: select(dialect, LOOKUPS.holdsById),
    updateUsers: update(dialect, "users", CHANGED_USER),
    insertLots: insert(dialect, "credit_grants", NEW_LOT),
    updateLots: update(dialect, "credit_grants", CHANGED_LOT),
    insertHolds: insert(dialect, "credit_holds", NEW_HOLD),
    updateHolds: update(dialect, "credit_holds", CHANGED_HOLD),
    insertEntries: insert(dialect, "credit_logs", NEW_ENTRY),
    insertMovements: insert(dialect, "credit_movements", NEW_MOVEMENT),
    insertUsage: insert(dialect, "usage_logs", NEW_USAGE),
    insertKeys: insert(dialect, "idempotency_keys", NEW_KEY),
  } as const;
}

/** Every statement of the ledger, per dialect. */
export const LEDGER_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") } as const;
