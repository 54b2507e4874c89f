// Tells a slow statement from a server that has gone silent (stopped, cut off, failing over without a word).
import { setImmediate as nextTurn } from "node:timers/promises";
import { type ConnectionConfig, createConnection } from "mariadb";
import type { Logger } from "../../lib/logger.ts";

/** The database gave no sign of life in time. Nothing is known of the statement that waited. */
export class DatabaseAwayError extends Error {
  override readonly name = "DatabaseAwayError";
}

/** Watches statements. */
export interface Watchdog {
  /** `work()`, or DatabaseAwayError once the server is found silent; `abandon` is then to drop the connection. */
  run<T>(work: () => Promise<T>, abandon: () => void): Promise<T>;
  stop(): void;
}

/** A statement may take this long before anybody asks whether the server is still there. */
const SUSPICIOUS_AFTER_MS = 1_000;
const LOOK_EVERY_MS = 200;
const SIGN_OF_LIFE_WITHIN_MS = 1_000;
/** A look this late means that this process stood still; an answer may be there, unread. */
const STALL_MS = 200;
/** A process that stands still again and again cannot excuse the database's silence for ever. */
const MAX_EXCUSES = 5;

interface Watched {
  startedAtMs: number;
  fail(error: Error): void;
}

/** What one watchdog knows. Times are milliseconds since 1970. */
interface State {
  readonly target: ConnectionConfig;
  readonly logger: Logger;
  /** Oldest first. */
  readonly watched: Set<Watched>;
  timer: NodeJS.Timeout | undefined;
  asking: boolean;
  lastSignMs: number;
  lookedAtMs: number;
  /** When this process was last found to have stood still. */
  stalledAtMs: number;
  excuses: number;
}

/**
 * A watchdog that asks for a sign of life on a connection of its own. A server that answers it may take as long as it
 * likes over a statement (a report, a migration); one that does not ends every statement that waits for it, so that a
 * dead database is a 503 within about two and a half seconds, and not a request that hangs until TCP gives up. While this
 * process itself stands still (a blocked event loop), silence says nothing of the server: the question is put again.
 */
export function createWatchdog(target: ConnectionConfig, logger: Logger): Watchdog {
  const state: State = {
    ...{ target, logger, watched: new Set(), timer: undefined, asking: false },
    ...{ lastSignMs: 0, lookedAtMs: 0, stalledAtMs: 0, excuses: 0 },
  };
  return {
    stop: () => stop(state),
    run: (work, abandon) => run(state, work, abandon),
  };
}

function stop(state: State): void {
  clearInterval(state.timer);
  state.timer = undefined;
}

function look(state: State): void {
  const nowMs = Date.now();
  if (nowMs - state.lookedAtMs > LOOK_EVERY_MS + STALL_MS) state.stalledAtMs = nowMs;
  state.lookedAtMs = nowMs;
  const [oldest] = state.watched;
  if (oldest === undefined) return stop(state);
  const sinceMs = Math.max(oldest.startedAtMs, state.lastSignMs, state.stalledAtMs);
  if (!state.asking && nowMs - sinceMs > SUSPICIOUS_AFTER_MS) void ask(state);
}

async function ask(state: State): Promise<void> {
  state.asking = true;
  const askedAtMs = Date.now();
  try {
    await signOfLife(state.target);
    state.lastSignMs = Date.now();
    state.excuses = 0;
  } catch (error) {
    if (await stoodStillSince(state, askedAtMs)) state.excuses += 1;
    else abandonAll(state, askedAtMs, error);
  } finally {
    state.asking = false;
  }
}

/** Whether this process, and not the server, may be why there was no answer. */
async function stoodStillSince(state: State, askedAtMs: number): Promise<boolean> {
  // After a stall all timers are due at once, in no order to rely on: the look has to have had its turn.
  await nextTurn();
  return state.stalledAtMs >= askedAtMs && state.excuses < MAX_EXCUSES;
}

function abandonAll(state: State, askedAtMs: number, cause: unknown): void {
  const { logger, watched } = state;
  logger.warn({ err: cause }, "the database does not answer; its statements are abandoned");
  const away = new DatabaseAwayError("The database does not answer", { cause });
  for (const statement of watched) if (statement.startedAtMs <= askedAtMs) statement.fail(away);
  state.excuses = 0;
}

async function run<T>(state: State, work: () => Promise<T>, abandon: () => void): Promise<T> {
  const { watched } = state;
  let fail: (error: Error) => void = () => {};
  const silent = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const statement = { startedAtMs: Date.now(), fail };
  watched.add(statement);
  if (state.timer === undefined) {
    state.lookedAtMs = Date.now();
    state.timer = setInterval(() => look(state), LOOK_EVERY_MS).unref();
  }
  const running = work();
  try {
    return await Promise.race([running, silent]);
  } catch (error) {
    if (error instanceof DatabaseAwayError) {
      running.catch(() => {});
      abandon();
    }
    throw error;
  } finally {
    watched.delete(statement);
  }
}

/** A connection that has been silent for that long ends by itself, whatever it waits for. */
async function signOfLife(target: ConnectionConfig): Promise<void> {
  const connection = await createConnection({ ...target, socketTimeout: SIGN_OF_LIFE_WITHIN_MS });
  connection.on("error", () => {});
  await connection.query("SELECT 1");
  await connection.end();
}
