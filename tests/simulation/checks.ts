// What has to hold at every moment, read from the committed rows: the invariants of the books.
import { doctorChecks, ENTRY_COUNTS } from "../../server/ledger/audit/checks.ts";
import { KEY_SQL, readTarget } from "../../server/ledger/audit/keys.ts";
import type { Store } from "./store.ts";

/** A row of credit_logs. */
export interface Entry {
  userId: string;
  seq: number;
  id: string;
  amount: number;
  balance: number;
  type: string;
  sourceId: string | null;
  description: string | null;
  metadata: string | null;
  lots: string | null;
  createdAt: string;
}

interface Lot {
  id: string;
  amount: number;
  remaining: number;
  expiresAt: string | null;
}

const FROM = "";
const TO = "\u{10FFFF}";
const DOCTOR = doctorChecks("sqlite", 1);
/** The doctor adds up outside SQL. */
const SUMS = `SELECT u.id AS userId, u.credits || ' credits' AS detail FROM users u
  WHERE u.credits <> (SELECT COALESCE(SUM(amount), 0) FROM credit_logs WHERE userId = u.id)
  OR u.ledgerSeq <> (SELECT COUNT(*) FROM credit_logs WHERE userId = u.id)`;

/** What the batches counted, beside what the entries come to. */
const FIGURES = `SELECT type, SUM(given) AS given, SUM(taken) AS taken FROM (
    SELECT type, given, taken FROM credit_totals UNION ALL SELECT type, given, taken FROM credit_movements
    UNION ALL SELECT type, -MAX(0, amount), MIN(0, amount) FROM credit_logs
  ) GROUP BY type HAVING SUM(given) <> 0 OR SUM(taken) <> 0`;

/** Starts to watch an empty store. */
export function createWatch(store: Store) {
  // Entries as they were first seen: none may change or go.
  const seen = new Map<string, string>();

  function doctor(): string[] {
    const found: string[] = [];
    const add = (invariant: string, sql: string, parameters: readonly string[]) => {
      for (const row of store.rows<{ userId: string; detail: string }>(sql, ...parameters))
        found.push(`${invariant}: ${row.userId} ${row.detail}`);
    };
    const users = store.rows<{ id: string }>("SELECT id FROM users");
    const all = JSON.stringify(users.map(({ id }) => [id, 0, 0]));
    for (const { invariant, sql, takes } of DOCTOR)
      add(
        invariant,
        sql,
        Array.from({ length: sql.split("?").length - 1 }, (_, i) =>
          takes !== undefined ? all : i % 2 ? TO : FROM,
        ),
      );
    add("1 balance: the sum of the entries", SUMS, []);
    return found;
  }

  function counts(): string[] {
    const counted = new Map<string, { stored: string; counts: Record<string, number> }>();
    const rows = store.rows<{
      userId: string;
      entryCounts: string | null;
      type: string | null;
      n: number;
    }>(ENTRY_COUNTS, FROM, TO, FROM, TO);
    // Users come before their entries.
    for (const { userId, entryCounts, type, n } of rows) {
      if (entryCounts !== null) counted.set(userId, { stored: entryCounts, counts: {} });
      const user = counted.get(userId);
      if (user !== undefined && type !== null) user.counts[type] = n;
    }
    return [...counted].flatMap(([userId, user]) => {
      const stored = JSON.parse(user.stored) as Record<string, number>;
      const types = new Set([...Object.keys(stored), ...Object.keys(user.counts)]);
      const same = [...types].every((type) => stored[type] === user.counts[type]);
      return same ? [] : [`${userId}: entryCounts ${user.stored}`];
    });
  }

  /** An answered key points at its own entry or hold, and at no other key's. */
  function keys(): string[] {
    const rows = store.rows<{ userId: string; key: string; answer: string }>(
      "SELECT userId, `key`, answer FROM idempotency_keys",
    );
    const found: string[] = [];
    const asked: unknown[] = [];
    const owners = new Map<string, string>();
    for (const [n, { userId, key, answer }] of rows.entries()) {
      const target = readTarget(answer);
      if (target === null) found.push(`key ${key} of ${userId} cannot be read: ${answer}`);
      else asked.push([n, userId, target.q, target.t, target.h]);
      if (target === null || target.t === null) continue;
      const other = owners.get(target.t);
      if (other !== undefined) found.push(`keys ${other} and ${key} share entry ${target.t}`);
      owners.set(target.t, key);
    }
    for (const { n } of store.rows<{ n: number }>(KEY_SQL.sqlite.dangling, JSON.stringify(asked)))
      found.push(`key ${rows[n]?.key} of ${rows[n]?.userId} points at nothing of its own`);
    return found;
  }

  /** Entries stay; a key, named in the entry or hold it made, is there once; lots are what the entries made of them. */
  function history(): string[] {
    const found: string[] = [];
    const entries = store.rows<Entry>("SELECT * FROM credit_logs ORDER BY userId, seq");
    const byKey = new Set<string>();
    const left = new Map<string, number>();
    const lots = new Map(
      store
        .rows<Lot>("SELECT id, amount, remaining, expiresAt FROM credit_grants")
        .map((lot) => [lot.id, lot]),
    );
    for (const entry of entries) {
      const place = `${entry.userId} ${entry.seq}`;
      const text = JSON.stringify(entry);
      if ((seen.get(place) ?? text) !== text) found.push(`entry ${place} was changed: ${text}`);
      seen.set(place, text);
      const key = keyOf(entry);
      if (key !== null) {
        if (byKey.has(key)) found.push(`${key} took effect twice`);
        byKey.add(key);
      }
      for (const [lotId, credits] of JSON.parse(entry.lots ?? "[]") as [string, number][]) {
        const isGiven = entry.amount > 0;
        left.set(lotId, (left.get(lotId) ?? 0) + (isGiven ? credits : -credits));
        const expiresAt = lots.get(lotId)?.expiresAt ?? null;
        if (entry.type === "EXPIRY" && (expiresAt === null || expiresAt > entry.createdAt))
          found.push(`entry ${place} expired lot ${lotId}, whose time is ${expiresAt}`);
      }
    }
    if (entries.length < seen.size) found.push(`${seen.size - entries.length} entries are gone`);
    for (const [id, { remaining }] of lots)
      if (left.get(id) !== remaining)
        found.push(`lot ${id} has ${remaining}, its entries leave ${left.get(id)}`);
    return found;
  }

  function holds(): string[] {
    return store
      .rows<{ userId: string; idempotencyKey: string }>(
        `SELECT userId, idempotencyKey FROM credit_holds
         GROUP BY userId, idempotencyKey HAVING COUNT(*) > 1`,
      )
      .map(({ userId, idempotencyKey }) => `${userId} ${idempotencyKey} made two holds`);
  }

  /** Credits under a hold stay in their lots until it ends, but for what a refund, dispute or administrator takes. */
  function held(): string[] {
    return store
      .rows<{ userId: string; lotId: string; held: number; remaining: number }>(
        `SELECT h.userId, g.id AS lotId, SUM(json_extract(share.value, '$[1]')) AS held, g.remaining
         FROM credit_holds h, json_each(h.lots) AS share
         JOIN credit_grants g ON g.id = json_extract(share.value, '$[0]')
         WHERE h.status = 'ACTIVE' AND NOT EXISTS (
           SELECT 1 FROM credit_logs e WHERE e.userId = h.userId AND e.amount < 0
           AND e.type IN ('REFUND', 'DISPUTE', 'ADMIN_ADJUST'))
         GROUP BY h.userId, g.id, g.remaining HAVING held > g.remaining`,
      )
      .map((row) => `${row.userId}: lot ${row.lotId} has ${row.remaining}, ${row.held} are held`);
  }

  /** Every entry is counted by the batch that wrote it: statistics add nothing else up. */
  function figures(): string[] {
    const found = store
      .rows<{ type: string; given: number; taken: number }>(FIGURES)
      .map(({ type, given, taken }) => `${type} is ${given} given and ${taken} taken off`);
    const behind = "SELECT id FROM users WHERE rolledSeq <> ledgerSeq";
    for (const { id } of store.rows<{ id: string }>(behind)) found.push(`${id} is not counted`);
    return found;
  }

  return {
    /** Sentences of what is broken now; empty most of the time. */
    broken: () => [
      ...doctor(),
      ...counts(),
      ...keys(),
      ...history(),
      ...holds(),
      ...held(),
      ...figures(),
    ],
  };
}

/** The key a client's entry came from: it is kept in the entry, longer than the key itself. */
export function keyOf(entry: Entry): string | null {
  if (entry.type === "ADMIN_ADJUST") return `${entry.userId} ${entry.description}`;
  if (entry.type !== "USAGE" || entry.metadata === null) return null;
  return `${entry.userId} ${(JSON.parse(entry.metadata) as { key: string }).key}`;
}
