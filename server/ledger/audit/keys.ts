import { type SqlDialect, toSqlDate } from "../../database/dates.ts";
import type { Database } from "../../database/ports.ts";
import { HOUR_MS } from "../../lib/time.ts";
import { jsonTable } from "../store/sql.ts";
import { inRange } from "./check.ts";
import { readByUser, type Paging } from "./read-by-user.ts";

/** A key that is wrong, and the invariant it breaks. */
interface WrongKey {
  readonly invariant: string;
  readonly userId: string;
  readonly detail: string;
}

/** A user whose keys are checked: all of them, or those created since the books were proven up to entry `seq`. */
interface KeyOwner {
  readonly userId: string;
  readonly seq: number;
  readonly provenAt: Date | null;
}

/** How keys are read, and which entries of their users are known already. */
interface KeySearch extends Paging {
  /** Returns the id of an entry that this audit has already read. */
  idOf(userId: string, seq: number): string | undefined;
}

interface KeyRow {
  readonly userId: string;
  readonly key: string;
  readonly answer: string;
  /** Whether it was certainly created after the books were proven. */
  readonly isLater: unknown;
}

/** What a stored answer points to: an entry by seq and id, or a hold. See StoredAnswer in idempotency.ts. */
interface Target {
  readonly q: number;
  readonly t: string | null;
  readonly h: string | null;
}

const POINTS = "4 keys take effect once: an answered key points at its own entry or hold";
const SHARED = "4 keys take effect once: no two keys share an entry";
/** Keys are dated by the instances' clocks, which may differ by this much. */
const CLOCKS_MS = HOUR_MS;
const MAX_SEQ = 2_147_483_647;
const COLUMNS = { n: "int", userId: "id", q: "int", t: "id", h: "id" } as const;

/** The statements: pages of keys, and which of them point to nothing. */
export const KEY_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") };

function statements(dialect: SqlDialect) {
  const straight = dialect === "mysql" ? "STRAIGHT_JOIN " : "";
  const primary = dialect === "mysql" ? "FORCE INDEX (PRIMARY) " : "";
  return {
    /** Parameters: [[userId, created since, certainly later], …], limit. */
    ofUsers: `SELECT ${straight}i.userId, i.\`key\`, i.answer, i.createdAt > j.later AS isLater
      FROM ${jsonTable(dialect, { userId: "id", since: "date", later: "date" })} JOIN idempotency_keys i ${primary}ON i.userId = j.userId AND i.createdAt > j.since
      ORDER BY i.userId, i.\`key\` LIMIT ?`,
    /** Parameters: the ends of the range, limit. */
    ofRange: `SELECT userId, \`key\`, answer, 0 AS isLater FROM idempotency_keys ${primary}WHERE ${inRange("userId")} ORDER BY userId, \`key\` LIMIT ?`,
    /** Parameters: certainly later, user, after this key, created since, limit. */
    ofUser: `SELECT userId, \`key\`, answer, createdAt > ? AS isLater FROM idempotency_keys
      WHERE userId = ? AND \`key\` > ? AND createdAt > ? ORDER BY \`key\` LIMIT ?`,
    /** Parameter: [[n, userId, q, t, h], …] */
    dangling: `SELECT ${straight}j.n FROM ${jsonTable(dialect, COLUMNS)}
      LEFT JOIN credit_logs e ON e.userId = j.userId AND e.seq = j.q
      LEFT JOIN credit_holds h ON h.id = j.h
      WHERE CASE WHEN j.h IS NOT NULL THEN h.id IS NULL OR h.userId <> j.userId ELSE e.id IS NULL OR e.id <> j.t END`,
  };
}

/**
 * Checks idempotency keys, a page at a time. Answers are parsed here because a database takes six times as long to read
 * their JSON. To find entries shared by two keys, one bit per entry of a user records whether a key has pointed to it.
 * A proven entry needs none: its key existed by then, so a key that is certainly later cannot be its own.
 */
export async function wrongKeys(
  database: Database,
  keyOwners: readonly KeyOwner[],
  { idOf, ...paging }: KeySearch,
): Promise<WrongKey[]> {
  const { ofRange, ofUsers, ofUser } = KEY_SQL[database.dialect];
  const owners = new Map(keyOwners.map((owner) => [owner.userId, owner]));
  const had = createSeenEntries();
  const wrong: WrongKey[] = [];
  await readByUser<KeyRow, KeyOwner>(database, keyOwners, paging, {
    ofRange: ({ from, to }) => [ofRange, from, to],
    ofUsers(some) {
      const list = some.map(({ userId, provenAt }) => {
        const { since, later } = datesOf(database, provenAt);
        return [userId, since, later];
      });
      return [ofUsers, JSON.stringify(list)];
    },
    ofUser({ userId, key }) {
      const { since, later } = datesOf(database, owners.get(userId)?.provenAt);
      return [ofUser, later, userId, key, since];
    },
    async take(rows) {
      // A range may contain keys of users who do not exist.
      const owned = rows.filter(({ userId }) => owners.has(userId));
      wrong.push(...(await checkPage(database, owned, { idOf, owners, had })));
    },
  });
  return wrong;
}

/** Returns the date from which keys are checked, and the date from which they are certainly later than the proof. */
function datesOf({ dialect }: Database, provenAt: Date | null | undefined) {
  const date = (ms: number) => toSqlDate(dialect, new Date(ms));
  const ms = provenAt?.getTime();
  return ms === undefined
    ? { since: date(0), later: date(Date.UTC(9999, 0)) }
    : { since: date(ms - CLOCKS_MS), later: date(ms + CLOCKS_MS) };
}

async function checkPage(
  { dialect, read }: Database,
  rows: readonly KeyRow[],
  {
    idOf,
    owners,
    had,
  }: Pick<KeySearch, "idOf"> & {
    readonly owners: ReadonlyMap<string, KeyOwner>;
    readonly had: SeenEntries;
  },
): Promise<WrongKey[]> {
  const targets = rows.map(({ answer }) => readTarget(answer));
  const asked = rows.flatMap(({ userId }, n) => {
    const target = targets[n];
    if (!target) return [];
    const { q, t, h } = target;
    const isKnown = h === null && t !== null && idOf(userId, q) === t;
    return isKnown ? [] : [[n, userId, q, t, h]];
  });
  const found =
    asked.length === 0
      ? []
      : await read<{ n: unknown }>(KEY_SQL[dialect].dangling, [JSON.stringify(asked)]);
  const dangling = new Set(found.map(({ n }) => Number(n)));
  const wrong: WrongKey[] = [];
  for (const [n, { userId, key, isLater }] of rows.entries()) {
    const target = targets[n];
    if (!target || dangling.has(n)) wrong.push({ invariant: POINTS, userId, detail: `key ${key}` });
    else if (target.t !== null) {
      // An entry is committed together with its key, so a later key cannot belong to an entry that was proven before.
      const isShared = Number(isLater) === 1 && target.q <= (owners.get(userId)?.seq ?? 0);
      if (had.add(userId, target.q) || isShared)
        wrong.push({ invariant: SHARED, userId, detail: `entry ${target.t}` });
    }
  }
  return wrong;
}

/** Returns what a stored answer points to; null if it cannot be parsed. */
export function readTarget(answer: string): Target | null {
  try {
    const { q, t, h } = JSON.parse(answer) as Partial<Record<"q" | "t" | "h", unknown>>;
    if (!Number.isInteger(q) || (q as number) < 0 || (q as number) > MAX_SEQ) return null;
    const text = (value: unknown) => (typeof value === "string" ? value.slice(0, 36) : null);
    return { q: q as number, t: text(t), h: text(h) };
  } catch {
    return null;
  }
}

interface SeenEntries {
  /** Adds a user's entry and returns whether it was added before. Users must come one after another. */
  add(userId: string, seq: number): boolean;
}

function createSeenEntries(): SeenEntries {
  let user = "";
  let bits = new Uint8Array(64);
  return {
    add(userId, seq) {
      if (userId !== user) {
        user = userId;
        bits = new Uint8Array(64);
      }
      const at = Math.floor(seq / 8);
      if (at >= bits.length) {
        const wider = new Uint8Array(Math.max(bits.length * 2, at + 1));
        wider.set(bits);
        bits = wider;
      }
      const mask = 1 << (seq % 8);
      const wasThere = ((bits[at] ?? 0) & mask) !== 0;
      bits[at] = (bits[at] ?? 0) | mask;
      return wasThere;
    },
  };
}
