// The audit's database access: pages of users and how far their books are proven, the checks' queries, the checkpoints.
import { fromSqlDate, type SqlDialect, toSqlDate } from "../../database/dates.ts";
import type { Database } from "../../database/ports.ts";
import { jsonTable } from "../store/sql.ts";
import {
  INCONSISTENT_END,
  type Check,
  inRange,
  type Range,
  type SqlFragments,
  sqlFragments,
  toList,
  toUnverified,
  type Unverified,
} from "./check.ts";

/** How far a user's books are proven. */
export interface Checkpoint {
  readonly seq: number;
  readonly balance: number;
  /** Entries up to `seq` that charge a hold. */
  readonly charges: number;
  readonly endedHolds: number;
  readonly provenAt: Date;
  /** When they were last proven from the first entry. */
  readonly wholeAt: Date;
}

/** A user as read for a page of the audit. */
export interface AuditedUser {
  readonly id: string;
  readonly credits: number;
  readonly ledgerSeq: number;
  /** Null when there is none that can be relied on. */
  readonly checkpoint: Checkpoint | null;
  /** Current balance of the entry at the checkpoint; null when that entry is missing. */
  readonly balanceThere: number | null;
}

/** Sums of a user's entries after a checkpoint, from one snapshot. */
export interface Sums {
  readonly userId: string;
  readonly credits: number;
  readonly ledgerSeq: number;
  readonly total: number;
  readonly entries: number;
  readonly first: number | null;
  readonly last: number | null;
  readonly charges: number;
}

/** How a user's holds ended. */
export interface HoldEnds {
  /** Holds settled for more than 0. */
  readonly settled: number;
  /** Holds whose state and end disagree. */
  readonly inconsistent: number;
}

/** A checkpoint to write. `fromSeq` is the seq of the one it continues from; null if proven from the first entry. */
export interface Proof extends Checkpoint {
  readonly userId: string;
  readonly fromSeq: number | null;
}

/** Between which moments a proof must be dated to be relied on; null relies on none. */
export type Trusted = { readonly from: Date; readonly to: Date } | null;

/** The audit's reads and writes. */
export interface AuditStore {
  size(): Promise<{ users: number; entries: number }>;
  /** Returns the next users by id, with the checkpoints that can be relied on. */
  page(afterUserId: string, users: number, trusted: Trusted): Promise<AuditedUser[]>;
  /** Counts the holds of the users in `range`, along the index of user and status. */
  holds(range: Range): Promise<Map<string, { active: number; ended: number }>>;
  /** Returns how holds ended: those of the users in `range` or, if it is null, of the `unverified` users. */
  holdEnds(range: Range | null, unverified: readonly Unverified[]): Promise<Map<string, HoldEnds>>;
  sums(unverified: readonly Unverified[]): Promise<Sums[]>;
  /** Returns what `check` finds wrong, at most MAX_PER_STATEMENT rows. */
  wrong(
    check: Check,
    range: Range,
    unverified: readonly Unverified[],
  ): Promise<{ userId: string; detail: string }[]>;
  /** Returns the rows of a statement over `range` that is not a Check. */
  rows<Row>(sql: string, range: Range): Promise<Row[]>;
  /**
   * Writes checkpoints in one transaction. First deletes those of `again`, the users just audited from their first
   * entry. A proof that continues from a checkpoint is written only if that checkpoint still exists: an audit that
   * found the user's books wrong meanwhile has deleted it, and what was proven after it is then worthless.
   */
  save(again: readonly string[], proofs: readonly Proof[]): Promise<void>;
}

/** Contains no moment. */
const NEVER = { from: new Date(1), to: new Date(0) };
/** Maximum number of rows per check and page. A check that returns this many may have found more. */
export const MAX_PER_STATEMENT = 100;
const PROOF = {
  userId: "id",
  fromSeq: "int",
  seq: "int",
  balance: "int",
  charges: "int",
  endedHolds: "int",
  provenAt: "date",
  wholeAt: "date",
} as const;

const HOLD_ENDS = `h.userId, SUM(CASE WHEN h.status = 'SETTLED' AND h.settledAmount > 0 THEN 1 ELSE 0 END) AS settled,
  SUM(CASE WHEN ${INCONSISTENT_END} THEN 1 ELSE 0 END) AS inconsistent`;

/** The statements. */
export const AUDIT_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") };

function statements(dialect: SqlDialect) {
  const isMysql = dialect === "mysql";
  const proofs = jsonTable(dialect, PROOF);
  const columns = "userId, seq, balance, charges, endedHolds, provenAt, wholeAt";
  const set = ["seq", "balance", "charges", "endedHolds", "provenAt"];
  return {
    /** Parameters: wholly proven from, to, proven to, after this user, limit. */
    page: `SELECT u.id, u.credits, u.ledgerSeq, k.seq, k.balance, k.charges, k.endedHolds, k.provenAt, k.wholeAt, e.balance AS balanceThere
      FROM users u LEFT JOIN ledger_checkpoints k ON k.userId = u.id AND k.wholeAt >= ? AND k.wholeAt <= ? AND k.provenAt <= ? LEFT JOIN credit_logs e ON e.userId = k.userId AND e.seq = k.seq
      WHERE u.id > ? ORDER BY u.id LIMIT ?`,
    holds: `SELECT userId, status, COUNT(*) AS n FROM credit_holds WHERE userId > ? AND userId <= ? GROUP BY userId, status`,
    /** Parameters: the ends of the range. */
    holdEnds: `SELECT ${HOLD_ENDS} FROM credit_holds h ${isMysql ? "FORCE INDEX (credit_holds_userId_status_idx) " : ""}WHERE ${inRange("h.userId")} GROUP BY h.userId`,
    /** Takes "list". */
    holdEndsOfUsers: `SELECT ${HOLD_ENDS} FROM ${sqlFragments(dialect, 1).holds} GROUP BY h.userId`,
    advance: isMysql
      ? `UPDATE ${proofs} STRAIGHT_JOIN ledger_checkpoints k FORCE INDEX (PRIMARY) ON k.userId = j.userId AND k.seq = j.fromSeq SET ${set.map((name) => `k.${name} = j.${name}`).join(", ")}`
      : `UPDATE ledger_checkpoints SET ${set.map((name) => `${name} = j.${name}`).join(", ")} FROM ${proofs} WHERE ledger_checkpoints.userId = j.userId AND ledger_checkpoints.seq = j.fromSeq`,
    add: `INSERT INTO ledger_checkpoints (${columns}) SELECT ${columns.replaceAll(/\w+/g, "j.$&")} FROM ${proofs} WHERE 1 = 1 ${
      isMysql
        ? "ON DUPLICATE KEY UPDATE seq = ledger_checkpoints.seq"
        : "ON CONFLICT (userId) DO NOTHING"
    }`,
  };
}

/** Takes "list", then "unverified". A single statement, so that users and entries come from one snapshot. */
export function sumsSql({ dialect, users, entries }: SqlFragments): string {
  return `SELECT u.id AS userId, u.credits, u.ledgerSeq, 0 AS total, 0 AS entries, NULL AS first, NULL AS last, 0 AS charges
    FROM ${users} ${dialect === "mysql" ? "STRAIGHT_JOIN" : "CROSS JOIN"} users u ON u.id = j.userId
    UNION ALL
    SELECT e.userId, NULL, NULL, SUM(e.amount), COUNT(*), MIN(e.seq), MAX(e.seq), SUM(CASE WHEN e.type = 'USAGE' AND e.sourceId IS NOT NULL THEN 1 ELSE 0 END)
    FROM ${entries} e GROUP BY e.userId`;
}

/** Creates the store, for either database. */
export function createAuditStore(database: Database): AuditStore {
  const { models, dialect } = database;
  const sql = AUDIT_SQL[dialect];
  const rows = <Row>(statement: string, { from, to }: Range) =>
    database.read<Row>(statement, fill(statement, [from, to]));
  return {
    async size() {
      const { _count, _sum } = await models.user.aggregate({
        _count: true,
        _sum: { ledgerSeq: true },
      });
      return { users: _count, entries: _sum.ledgerSeq ?? 0 };
    },
    page(afterUserId, users, trusted) {
      const { from, to } = trusted ?? NEVER;
      const dates = [from, to, to].map((date) => toSqlDate(dialect, date));
      return readPage(database, [...dates, afterUserId, users]);
    },
    holds: async (range) => countHolds(await rows(sql.holds, range)),
    async holdEnds(range, unverified) {
      const ends =
        range !== null
          ? await rows<HoldEndsRow>(sql.holdEnds, range)
          : unverified.length > 0
            ? await database.read<HoldEndsRow>(sql.holdEndsOfUsers, [toList(unverified)])
            : [];
      return new Map(ends.map((one) => [one.userId, one]));
    },
    async sums(unverified) {
      if (unverified.length === 0) return [];
      const statement = sumsSql(sqlFragments(dialect, unverified.length));
      const parameters = [toList(unverified), ...toUnverified(dialect, unverified)];
      return toSums(await database.read<SumsRow>(statement, parameters));
    },
    async wrong({ sql: statement, takes }, range, unverified) {
      if (takes !== undefined && unverified.length === 0) return [];
      const parameters =
        takes?.flatMap((what) =>
          what === "list" ? [toList(unverified)] : toUnverified(dialect, unverified),
        ) ?? fill(statement, [range.from, range.to]);
      const found = await database.read<{ userId: string; detail: unknown }>(
        `${statement} LIMIT ${MAX_PER_STATEMENT}`,
        parameters,
      );
      return found.map(({ userId, detail }) => ({ userId, detail: String(detail) }));
    },
    rows,
    save: (again, proofs) => saveProofs(database, again, proofs),
  };
}

/** Repeats `parameters` in turn, one for each placeholder of `statement`. */
function fill(statement: string, parameters: readonly string[]): string[] {
  return Array.from(
    { length: statement.split("?").length - 1 },
    (_, i) => parameters[i % parameters.length] ?? "",
  );
}

interface PageRow extends Record<keyof Omit<Checkpoint, "provenAt" | "wholeAt">, unknown> {
  readonly id: string;
  readonly credits: unknown;
  readonly ledgerSeq: unknown;
  readonly provenAt: unknown;
  readonly wholeAt: unknown;
  readonly balanceThere: unknown;
}

async function readPage(
  { dialect, read }: Database,
  parameters: readonly (string | number)[],
): Promise<AuditedUser[]> {
  const rows = await read<PageRow>(AUDIT_SQL[dialect].page, parameters);
  return rows.map((row) => ({
    id: row.id,
    credits: Number(row.credits),
    ledgerSeq: Number(row.ledgerSeq),
    balanceThere: row.balanceThere === null ? null : Number(row.balanceThere),
    checkpoint:
      row.seq === null
        ? null
        : {
            seq: Number(row.seq),
            balance: Number(row.balance),
            charges: Number(row.charges),
            endedHolds: Number(row.endedHolds),
            provenAt: fromSqlDate(dialect, row.provenAt),
            wholeAt: fromSqlDate(dialect, row.wholeAt),
          },
  }));
}

function countHolds(rows: readonly { userId: string; status: string; n: unknown }[]) {
  const counts = new Map<string, { active: number; ended: number }>();
  for (const { userId, status, n } of rows) {
    const count = counts.get(userId) ?? { active: 0, ended: 0 };
    count[status === "ACTIVE" ? "active" : "ended"] += Number(n);
    counts.set(userId, count);
  }
  return counts;
}

type HoldEndsRow = HoldEnds & { readonly userId: string };

type SumsRow = Record<keyof Omit<Sums, "userId">, unknown> & { readonly userId: string };

function toSums(rows: readonly SumsRow[]): Sums[] {
  const orNull = (value: unknown) => (value === null ? null : Number(value));
  const entriesOf = new Map(
    rows.filter(({ credits }) => credits === null).map((row) => [row.userId, row]),
  );
  return rows.flatMap((user) => {
    if (user.credits === null) return [];
    const { total, entries, first, last, charges } = entriesOf.get(user.userId) ?? user;
    return {
      userId: user.userId,
      credits: Number(user.credits),
      ledgerSeq: Number(user.ledgerSeq),
      total: Number(total),
      entries: Number(entries),
      first: orNull(first),
      last: orNull(last),
      charges: Number(charges),
    };
  });
}

async function saveProofs(
  database: Database,
  again: readonly string[],
  proofs: readonly Proof[],
): Promise<void> {
  if (again.length === 0 && proofs.length === 0) return;
  const { advance, add } = AUDIT_SQL[database.dialect];
  const date = (value: Date) => toSqlDate(database.dialect, value);
  const json = (some: readonly Proof[]) =>
    JSON.stringify(
      some.map((one) => [
        ...[one.userId, one.fromSeq, one.seq, one.balance, one.charges, one.endedHolds],
        ...[date(one.provenAt), date(one.wholeAt)],
      ]),
    );
  const [fresh, further] = [
    proofs.filter(({ fromSeq }) => fromSeq === null),
    proofs.filter(({ fromSeq }) => fromSeq !== null),
  ];
  await database.transaction(async ({ models, sql }) => {
    if (again.length > 0)
      await models.ledgerCheckpoint.deleteMany({ where: { userId: { in: [...again] } } });
    if (further.length > 0) await sql.execute(advance, [json(further)]);
    if (fresh.length > 0) await sql.execute(add, [json(fresh)]);
  });
}
