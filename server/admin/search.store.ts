// Searches users for administrators. Bounded per statement and per search.
import { fromSqlDate, toSqlDate } from "../database/dates.ts";
import type { Database } from "../database/ports.ts";
import type { TimePlace } from "../lib/cursor.ts";
import { asciiLowerCase } from "../lib/text.ts";

/** A search for users. */
export interface Search {
  /** Part of an id, e-mail or name, in any case. */
  readonly text: string;
  readonly role: string | undefined;
  /** Only users after this place, newest first; null = from the beginning. */
  readonly place: TimePlace | null;
  readonly limit: number;
}

/** One page of a search: users in order, and the place where the next page continues; null if no user follows. */
export interface Found {
  readonly ids: readonly string[];
  readonly next: TimePlace | null;
}

/** Accounts that one statement reads, so that other statements can run in between. SQLite runs one at a time. */
const WINDOW = { mysql: 50_000, sqlite: 10_000 };
/** Accounts that one search reads in all. Only if these hold too few matches is a page with a cursor short or empty. */
const MAX_SCANNED = 200_000;

/**
 * Returns users with `text` in id, e-mail or name, newest first. The database compares, one window of an index after
 * another, so that rows without a match never leave it. It uses no LIKE, so the caller's text holds no wildcards.
 */
export async function searchUsers(database: Database, search: Search): Promise<Found> {
  const found: TimePlace[] = [];
  let place = search.place;
  for (let scanned = 0; scanned < MAX_SCANNED; scanned += WINDOW[database.dialect]) {
    const end = await windowEnd(database, search.role, place);
    // One more than requested, because a cursor is returned only if another user follows.
    const wanted = search.limit + 1 - found.length;
    const range = { role: search.role, after: place, end };
    found.push(...(await matches(database, search, { ...range, limit: wanted })));
    if (found.length > search.limit) {
      const shown = found.slice(0, search.limit);
      return { ids: shown.map(({ id }) => id), next: shown.at(-1) ?? null };
    }
    place = end;
    if (end === null) break;
  }
  return { ids: found.map(({ id }) => id), next: place };
}

/** Returns the filter and order for users after `place`, newest first. */
export function newestAfter(role: string | undefined, place: TimePlace | null) {
  const isAfter =
    place === null
      ? {}
      : {
          createdAt: { lte: place.at },
          OR: [{ createdAt: { lt: place.at } }, { id: { lt: place.id } }],
        };
  return {
    where: { ...(role === undefined ? {} : { role }), ...isAfter },
    orderBy: [{ createdAt: "desc" as const }, { id: "desc" as const }],
  };
}

/** A range of users, newest first: of one role or of all, after one place and up to another. */
interface Range {
  readonly role: string | undefined;
  readonly after: TimePlace | null;
  readonly end: TimePlace | null;
}

/** Returns the last of the window of users after `place`, from the index alone; null if fewer follow. */
async function windowEnd(
  database: Database,
  role: string | undefined,
  place: TimePlace | null,
): Promise<TimePlace | null> {
  const range = { role, after: place, end: null };
  const rest = conditionsOf(database, range);
  const [end] = await newest(database, range, rest, `1 OFFSET ${WINDOW[database.dialect] - 1}`);
  return end ?? null;
}

/** Returns the matching users of a range, in order. */
async function matches(
  database: Database,
  { text }: Search,
  { limit, ...range }: Range & { limit: number },
): Promise<TimePlace[]> {
  const filter = conditionsOf(database, range);
  const parts = searchVariants(database.dialect, text).flatMap((needle) =>
    ["id", "email", "name"].map((column) => ({
      sql: `INSTR(LOWER(${column}), LOWER(?)) > 0`,
      needle,
    })),
  );
  filter.conditions.push(`(${parts.map(({ sql }) => sql).join(" OR ")})`);
  filter.params.push(...parts.map(({ needle }) => needle));
  return newest(database, range, filter, `${Math.trunc(limit)}`);
}

/** Conditions with their parameters. */
interface Filter {
  readonly conditions: string[];
  readonly params: unknown[];
}

function conditionsOf({ dialect }: Database, { role, after, end }: Range): Filter {
  const conditions = ["1 = 1"];
  const params: unknown[] = [];
  const add = (condition: string, ...values: unknown[]) => {
    conditions.push(condition);
    params.push(...values);
  };
  const date = (place: TimePlace) => toSqlDate(dialect, place.at);
  if (role !== undefined) add("role = ?", role);
  if (after !== null) {
    const at = date(after);
    add("createdAt <= ? AND (createdAt < ? OR id < ?)", at, at, after.id);
  }
  if (end !== null) {
    const at = date(end);
    add("createdAt >= ? AND (createdAt > ? OR id >= ?)", at, at, end.id);
  }
  return { conditions, params };
}

/** Names the index, because MySQL would rather sort all users than read a window of them in order. */
async function newest(
  { read, dialect }: Database,
  { role }: Range,
  { conditions, params }: Filter,
  limit: string,
): Promise<TimePlace[]> {
  const index =
    role === undefined ? "users_createdAt_id_email_name_idx" : "users_role_createdAt_id_idx";
  const rows = await read<{ id: string; createdAt: unknown }>(
    `SELECT id, createdAt FROM users${dialect === "mysql" ? ` FORCE INDEX (${index})` : ""}
     WHERE ${conditions.join(" AND ")} ORDER BY createdAt DESC, id DESC LIMIT ${limit}`,
    params,
  );
  return rows.map(({ id, createdAt }) => ({ id, at: fromSqlDate(dialect, createdAt) }));
}

/**
 * Returns what to search for: the database lowers the case of both sides, because its rules are not JavaScript's ("İ",
 * "Σ"). SQLite's LOWER knows only ASCII, so for other letters the text is also tried in lower case, in upper case and
 * capitalised.
 */
function searchVariants(dialect: Database["dialect"], text: string): string[] {
  if (dialect === "mysql") return [text];
  const lower = text.toLowerCase();
  const [first = "", ...rest] = lower;
  const name = first.toUpperCase() + rest.join("");
  return [...new Set([text, lower, lower.toUpperCase(), name].map(asciiLowerCase))];
}
