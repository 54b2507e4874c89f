// What a database error means, in every shape in which the two drivers and Prisma report it.
import { setTimeout as sleep } from "node:timers/promises";
import { fullJitterMs } from "../lib/backoff.ts";
import { AppError } from "../lib/errors.ts";

/**
 * What a database error can mean:
 * - `conflict`: deadlock, lock wait timeout or busy; nothing was applied, so run the transaction again
 * - `unique`: a unique key is taken
 * - `away`: the database is unreachable or unusable right now; nothing of the transaction is committed
 * - `unknownOutcome`: COMMIT got no reply, or an inconclusive one; the transaction may or may not be committed
 */
export const DATABASE_ERROR_CLASSES = [
  "conflict",
  "unique",
  "away",
  "unknownOutcome",
  "other",
] as const;
/** One of DATABASE_ERROR_CLASSES. */
export type DatabaseErrorClass = (typeof DATABASE_ERROR_CLASSES)[number];

/** The connection was lost during COMMIT, or its reply took too long to wait for. */
export class UnknownOutcomeError extends Error {
  override readonly name = "UnknownOutcomeError";
  constructor(cause: unknown) {
    super("COMMIT was not answered; the transaction may or may not be there", { cause });
  }
}

// Deadlock 1213 (also Galera's conflicts between nodes, even at COMMIT), lock wait 1205, record changed 1020, NOWAIT
// 3572, XA deadlock 1614, group replication 3101; TiDB's write conflicts 8002, 8022, 8028, 9007.
const CONFLICT_NUMBERS = new Set([1213, 1205, 1020, 3572, 1614, 3101, 8002, 8022, 8028, 9007]);

// COMMIT itself failed. "Got error 149" is a deadlock, and nothing was committed. Anything else leaves the outcome
// open: a Galera node cut off while it was replicating its COMMIT ("Not connected to Primary Component") cannot know
// it, nor can a failing disk.
const ERROR_DURING_COMMIT = 1180;
const DEADLOCK_DURING_COMMIT = /\berror 149\b/;

const UNIQUE_NUMBERS = new Set([1062, 1586, 1555, 2067]);

// Refused or cut connections; a server that is starting, stopping, read-only after a failover (1290, 1792, 1836),
// offline (3032), or out of disk or memory (1021, 1037, 1041, 1114); a Galera node outside its quorum (1047); a group
// that lost its majority (3100); killed sessions and statements (1317, 1927, 1969, 3024, 3169, 4031); ProxySQL with no
// server behind it and TiDB with components missing (9001 to 9003, 9005).
const AWAY_NUMBERS = new Set([
  1021, 1037, 1041, 1114, 3032, 3100, 9001, 9002, 9003, 9005, 1040, 1042, 1043, 1044, 1045, 1047,
  1049, 1053, 1077, 1078, 1079, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1290, 1317,
  1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024, 3159, 3169, 4031,
]);

// The MariaDB connector's own numbers for lost, refused, timed-out and closed connections and pools.
const CLIENT_AWAY_NUMBERS = new Set([
  45001, 45004, 45009, 45011, 45012, 45013, 45019, 45024, 45026, 45027, 45028, 45029, 45030, 45035,
  45037, 45039, 45042, 45060, 45061,
]);

const CONFLICT_WORDS = new Set(["P2034", "TransactionWriteConflict"]);

const UNIQUE_WORDS = new Set(["P2002", "UniqueConstraintViolation"]);

const AWAY_WORDS = new Set([
  // Prisma: unreachable, timed out, refused, closed, pool and transaction timeouts.
  ..."P1000 P1001 P1002 P1003 P1008 P1010 P1011 P1017 P2024 P2028 P2037".split(" "),
  // Prisma's driver adapters.
  ..."DatabaseNotReachable ConnectionClosed SocketTimeout TooManyConnections".split(" "),
  ..."TlsConnectionError AuthenticationFailed DatabaseDoesNotExist DatabaseAccessDenied".split(" "),
  // Node.js.
  ..."ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN".split(" "),
  ..."EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN".split(" "),
  ..."ERR_STREAM_DESTROYED ERR_STREAM_WRITE_AFTER_END".split(" "),
  // Ours.
  ..."MutexTimeoutError SqliteClosedError DatabaseUnavailableError".split(" "),
]);

// SQLite errors that come through Prisma carry only a number, whose low byte is the class: READONLY, IOERR, FULL,
// CANTOPEN.
const SQLITE_AWAY_CLASSES = new Set([8, 10, 13, 14]);

const MAX_DEPTH = 8;

/** Returns what a database error means. Looks through `cause`, AggregateError and Prisma's `meta`. */
export function classifyDatabaseError(error: unknown): DatabaseErrorClass {
  const found = new Set<DatabaseErrorClass>();
  collect(error, found, 0);
  // The most certain finding first: a conflict anywhere in the chain explains the rest of it.
  const order: DatabaseErrorClass[] = ["unknownOutcome", "conflict", "unique", "away"];
  return order.find((kind) => found.has(kind)) ?? "other";
}

function collect(error: unknown, found: Set<DatabaseErrorClass>, depth: number): void {
  if (typeof error !== "object" || error === null || depth > MAX_DEPTH) return;
  found.add(classifyOne(error));
  if ("cause" in error) collect(error.cause, found, depth + 1);
  if (error instanceof AggregateError) {
    for (const inner of error.errors) collect(inner, found, depth + 1);
  }
  if ("meta" in error && typeof error.meta === "object" && error.meta !== null) {
    const { meta } = error;
    if ("driverAdapterError" in meta) collect(meta.driverAdapterError, found, depth + 1);
    // P2010 in Prisma's older shape: the server's number as text.
    if ("code" in meta) found.add(byNumber(Number(meta.code), textOf(meta)));
  }
}

function classifyOne(error: object): DatabaseErrorClass {
  const record = error as Record<string, unknown>;
  if (record["name"] === "UnknownOutcomeError") return "unknownOutcome";
  for (const key of ["code", "errorCode", "kind", "name"]) {
    const word = record[key];
    if (typeof word !== "string") continue;
    if (CONFLICT_WORDS.has(word) || /^SQLITE_(BUSY|LOCKED)/.test(word)) return "conflict";
    if (UNIQUE_WORDS.has(word)) return "unique";
    if (AWAY_WORDS.has(word) || /^SQLITE_(FULL|IOERR|CANTOPEN|READONLY)/.test(word)) return "away";
  }
  const sqlite = record["kind"] === "sqlite" ? Number(record["extendedCode"]) & 0xff : 0;
  if (SQLITE_AWAY_CLASSES.has(sqlite)) return "away";
  for (const key of ["errno", "originalCode", "code", "rawCode", "extendedCode"]) {
    const kind = byNumber(Number(record[key]), textOf(error));
    if (kind !== "other") return kind;
  }
  // The connector sets `fatal` on every error that ended its connection.
  return record["fatal"] === true ? "away" : "other";
}

function byNumber(number: number, text: string): DatabaseErrorClass {
  if (number === ERROR_DURING_COMMIT)
    return DEADLOCK_DURING_COMMIT.test(text) ? "conflict" : "unknownOutcome";
  if (CONFLICT_NUMBERS.has(number)) return "conflict";
  if (UNIQUE_NUMBERS.has(number)) return "unique";
  return AWAY_NUMBERS.has(number) || CLIENT_AWAY_NUMBERS.has(number) ? "away" : "other";
}

function textOf(error: object): string {
  return "message" in error && typeof error.message === "string" ? error.message : "";
}

/** How often and for how long a conflict is retried. */
export interface RetryOptions {
  /** Attempts in all; defaults to 6. */
  attempts?: number;
  /** Mean of the first pause (full jitter: up to twice this), doubled after each attempt; defaults to 4 ms. */
  firstPauseMs?: number;
  /** No attempt begins later than this after the first one began; defaults to 2,500 ms. */
  budgetMs?: number;
  /** An attempt that took longer is not retried; defaults to no limit. */
  longestTryMs?: number;
}

/**
 * Retries `work` while it fails with a conflict, bounded in number and time and with full jitter. Rethrows the last
 * error.
 */
export async function retryConflicts<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { attempts = 6, firstPauseMs = 4, budgetMs = 2_500, longestTryMs = Infinity } = options;
  const giveUpAt = performance.now() + budgetMs;
  for (let attempt = 1; ; attempt += 1) {
    const repeatableUntil = performance.now() + longestTryMs;
    try {
      return await work(attempt);
    } catch (error) {
      if (classifyDatabaseError(error) !== "conflict" || attempt >= attempts) throw error;
      if (performance.now() > repeatableUntil) throw error;
      const pauseMs = fullJitterMs(attempt, { firstMs: firstPauseMs, maxMs: budgetMs });
      if (performance.now() + pauseMs > giveUpAt) throw error;
      await sleep(pauseMs);
    }
  }
}

/**
 * Returns SERVICE_UNAVAILABLE for errors that mean "not now" (away, conflict, unknown outcome), undefined for all
 * others. The error middleware calls it for every error that reached the edge unconverted.
 */
export function toServiceUnavailable(error: unknown): AppError | undefined {
  switch (classifyDatabaseError(error)) {
    case "away":
    case "conflict":
    case "unknownOutcome":
      return serviceUnavailable(error);
    case "unique":
    case "other":
      return undefined;
  }
}

/**
 * Resolves as `work` does. Throws SERVICE_UNAVAILABLE where toServiceUnavailable says so; other errors pass unchanged.
 */
export async function orServiceUnavailable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toServiceUnavailable(error) ?? error;
  }
}

/** Returns SERVICE_UNAVAILABLE, for callers that need a database which does not respond. */
export function serviceUnavailable(cause?: unknown): AppError {
  const message = "The service cannot answer right now. Please try again in a moment.";
  return AppError.of("SERVICE_UNAVAILABLE", message, { retryAfterSeconds: 1 }, cause);
}
