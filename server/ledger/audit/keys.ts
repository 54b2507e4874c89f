import type { Database } from "../../database/ports.ts";
import { jsonTable } from "../store/sql.ts";

/** A key that is wrong, and the invariant it breaks. */
export interface WrongKey {
  readonly invariant: string;
  readonly userId: string;
  readonly detail: string;
}

interface KeyRow {
  readonly userId: string;
  readonly key: string;
  readonly answer: string;
}

/** What a stored answer points at: an entry by seq and id, or a hold. See StoredAnswer in idempotency.ts. */
interface Target {
  readonly q: number;
  readonly t: string | null;
  readonly h: string | null;
}

const POINTS = "4 keys take effect once: an answered key points at its own entry or hold";
const SHARED = "4 keys take effect once: no two keys share an entry";
const PAGE = 5_000;
const MAX_SEQ = 2_147_483_647;
const COLUMNS = { n: "int", userId: "id", q: "int", t: "id", h: "id" } as const;

/** The statements: a page of keys, and which of them point at nothing. */
export const KEY_SQL = { mysql: statements("mysql"), sqlite: statements("sqlite") };

function statements(dialect: Database["dialect"]) {
  const straight = dialect === "mysql" ? "STRAIGHT_JOIN " : "";
  return {
    /** Parameters: users after, up to. */
    ofUsers: `SELECT userId, \`key\`, answer FROM idempotency_keys WHERE userId > ? AND userId <= ? ORDER BY userId, \`key\` LIMIT ${PAGE}`,
    /** Parameters: user, keys after. */
    ofUser: `SELECT userId, \`key\`, answer FROM idempotency_keys WHERE userId = ? AND \`key\` > ? ORDER BY \`key\` LIMIT ${PAGE}`,
    /** Parameter: [[n, userId, q, t, h], …] */
    astray: `SELECT ${straight}j.n FROM ${jsonTable(dialect, COLUMNS)}
      LEFT JOIN credit_logs e ON e.userId = j.userId AND e.seq = j.q
      LEFT JOIN credit_holds h ON h.id = j.h
      WHERE CASE WHEN j.h IS NOT NULL THEN h.id IS NULL OR h.userId <> j.userId ELSE e.id IS NULL OR e.id <> j.t END`,
  };
}

/**
 * Checks the idempotency keys of the users after `from` up to `to`, a page at a time. Answers are read here: a database
 * takes six times as long to look into their JSON. One bit for each entry of a user tells whether a key has had it.
 */
export async function wrongKeys(database: Database, from: string, to: string): Promise<WrongKey[]> {
  const { ofUsers, ofUser } = KEY_SQL[database.dialect];
  const page = (sql: string, ...params: string[]) =>
    database.models.$queryRawUnsafe<KeyRow[]>(sql, ...params);
  const wrong: WrongKey[] = [];
  const had = createSeenEntries();
  let rows = await page(ofUsers, from, to);
  let isOfUsers = true;
  while (rows.length > 0) {
    wrong.push(...(await checkPage(database, rows, had)));
    const last = rows.at(-1);
    if (last === undefined || (isOfUsers && rows.length < PAGE)) break;
    // A full page may end amidst a user's keys: first the rest of them, then the next users', each along the index.
    rows = await page(ofUser, last.userId, last.key);
    isOfUsers = rows.length === 0;
    if (isOfUsers) rows = await page(ofUsers, last.userId, to);
  }
  return wrong;
}

async function checkPage(
  { models, dialect }: Database,
  rows: readonly KeyRow[],
  had: SeenEntries,
): Promise<WrongKey[]> {
  const targets = rows.map(({ answer }) => readTarget(answer));
  const asked = rows.flatMap(({ userId }, n) => {
    const target = targets[n];
    return target ? [[n, userId, target.q, target.t, target.h]] : [];
  });
  const found = await models.$queryRawUnsafe<{ n: unknown }[]>(
    KEY_SQL[dialect].astray,
    JSON.stringify(asked),
  );
  const astray = new Set(found.map(({ n }) => Number(n)));
  const wrong: WrongKey[] = [];
  for (const [n, { userId, key }] of rows.entries()) {
    const target = targets[n];
    if (!target || astray.has(n)) wrong.push({ invariant: POINTS, userId, detail: `key ${key}` });
    else if (target.t !== null && had.add(userId, target.q))
      wrong.push({ invariant: SHARED, userId, detail: `entry ${target.t}` });
  }
  return wrong;
}

/** Returns what a stored answer points at; null when it cannot be read. */
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
  /** Whether the entry of the user was added before. Users come one after another. */
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
