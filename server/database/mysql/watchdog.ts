// Distinguishes a slow statement from a server that has gone silent (stopped, cut off, failing over without a word).
import { setImmediate as nextTurn } from "node:timers/promises";
import { type ConnectionConfig, createConnection } from "mariadb";
import type { Logger } from "../../lib/logger.ts";
import { SlotSet } from "../../lib/slot-set.ts";
import { rootErrno } from "./explain.ts";

/** The database showed no sign of life in time. What became of the waiting statement is unknown. */
export class DatabaseUnavailableError extends Error {
  override readonly name = "DatabaseUnavailableError";
}

/** Watches statements. */
export interface Watchdog {
  /**
   * Resolves as `work()` does. Once the server is found silent, calls `abandon`, which must drop the connection, and
   * rejects with DatabaseUnavailableError.
   */
  run<T>(work: () => Promise<T>, abandon: () => void): Promise<T>;
  stop(): void;
}

/** How long a statement may take before we check that the server is still there. */
const SUSPICIOUS_AFTER_MS = 1_000;
const CHECK_EVERY_MS = 200;
const PING_TIMEOUT_MS = 1_000;
/** A tick this late means that this process was stalled; a reply may have arrived unread. */
const STALL_MS = 200;
/** A process that stalls again and again cannot excuse the database's silence for ever. */
const MAX_STALLS_FORGIVEN = 5;

// A server that refuses one more connection is alive, and still serves the existing ones. It has too many of them
// (1040, 1203, 1226), or no longer accepts this user, password or host (1044, 1045, 1049, 1129, 1130, 1524, 1698, 1862,
// 3118, 3159, 4151). Any other error may come from a proxy with no server behind it, or from a server that is stopping.
const REFUSAL_NUMBERS = new Set([
  1040, 1203, 1226, 1044, 1045, 1049, 1129, 1130, 1524, 1698, 1862, 3118, 3159, 4151,
]);

interface Watched {
  startedAtMs: number;
  fail(error: Error): void;
}

/** A watchdog's state. Times are those of `performance.now()`, which never goes back. */
interface State {
  readonly target: ConnectionConfig;
  readonly logger: Logger;
  readonly longestMs: number;
  readonly watched: SlotSet<Watched>;
  timer: NodeJS.Timeout | undefined;
  probing: boolean;
  lastReplyMs: number;
  tickedAtMs: number;
  /** When this process was last found to have been stalled. */
  stalledAtMs: number;
  stallsForgiven: number;
}

/**
 * Creates a watchdog that asks for a sign of life on a separate connection. While the server gives one, if only by
 * refusing that connection, a statement (a report) may take up to `longestMs`. When it does not, every statement
 * waiting for it is abandoned, so that a dead database costs a 503 within about two and a half seconds and not a
 * request that hangs until TCP gives up. If this process itself was stalled meanwhile (a blocked event loop), silence
 * proves nothing about the server, so it is asked again.
 *
 * `longestMs` is needed because a live server proves nothing about a connection that something in between has dropped
 * (NAT, a firewall, one of several proxies).
 */
export function createWatchdog(
  target: ConnectionConfig,
  { logger, longestMs }: { readonly logger: Logger; readonly longestMs: number },
): Watchdog {
  const state: State = {
    ...{ target, logger, longestMs, watched: new SlotSet(), timer: undefined, probing: false },
    ...{ lastReplyMs: 0, tickedAtMs: 0, stalledAtMs: 0, stallsForgiven: 0 },
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

function tick(state: State): void {
  const nowMs = performance.now();
  if (nowMs - state.tickedAtMs > CHECK_EVERY_MS + STALL_MS) state.stalledAtMs = nowMs;
  state.tickedAtMs = nowMs;
  if (state.watched.size === 0) return stop(state);
  const oldestMs = Math.min(...[...state.watched].map(({ startedAtMs }) => startedAtMs));
  const sinceMs = Math.max(oldestMs, state.lastReplyMs, state.stalledAtMs);
  if (!state.probing && nowMs - sinceMs > SUSPICIOUS_AFTER_MS) void probe(state);
  if (nowMs - Math.max(oldestMs, state.stalledAtMs) > state.longestMs) abandonOverdue(state, nowMs);
}

function abandonOverdue({ logger, watched, longestMs }: State, nowMs: number): void {
  const overdue = [...watched].filter(({ startedAtMs }) => nowMs - startedAtMs > longestMs);
  logger.warn({ statements: overdue.length, longestMs }, "statements took too long; abandoned");
  const away = new DatabaseUnavailableError(`No answer on this connection within ${longestMs} ms`);
  for (const statement of overdue) statement.fail(away);
}

async function probe(state: State): Promise<void> {
  state.probing = true;
  const probedAtMs = performance.now();
  try {
    await ping(state.target).catch((error: unknown) => {
      if (!REFUSAL_NUMBERS.has(rootErrno(error))) throw error;
    });
    state.lastReplyMs = performance.now();
    state.stallsForgiven = 0;
  } catch (error) {
    if (await wasProcessStalled(state, probedAtMs)) state.stallsForgiven += 1;
    else abandonAll(state, probedAtMs, error);
  } finally {
    state.probing = false;
  }
}

/** Whether this process, rather than the server, may be the reason why there was no reply. */
async function wasProcessStalled(state: State, probedAtMs: number): Promise<boolean> {
  // After a stall all timers are due at once, in no reliable order, so the tick must have run first.
  await nextTurn();
  return state.stalledAtMs >= probedAtMs && state.stallsForgiven < MAX_STALLS_FORGIVEN;
}

function abandonAll(state: State, probedAtMs: number, cause: unknown): void {
  const { logger, watched } = state;
  logger.warn({ err: cause }, "the database does not answer; its statements are abandoned");
  const away = new DatabaseUnavailableError("The database does not answer", { cause });
  for (const statement of watched) if (statement.startedAtMs <= probedAtMs) statement.fail(away);
  state.stallsForgiven = 0;
}

async function run<T>(state: State, work: () => Promise<T>, abandon: () => void): Promise<T> {
  const { watched } = state;
  let fail: (error: Error) => void = () => {};
  const silent = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const statement = { startedAtMs: performance.now(), fail };
  watched.add(statement);
  if (state.timer === undefined) {
    state.tickedAtMs = performance.now();
    state.timer = setInterval(() => tick(state), CHECK_EVERY_MS).unref();
  }
  const running = work();
  try {
    return await Promise.race([running, silent]);
  } catch (error) {
    if (error instanceof DatabaseUnavailableError) {
      running.catch(() => {});
      abandon();
    }
    throw error;
  } finally {
    watched.delete(statement);
  }
}

/** `socketTimeout` closes the connection after that much silence, whatever it is waiting for. */
async function ping(target: ConnectionConfig): Promise<void> {
  const connection = await createConnection({ ...target, socketTimeout: PING_TIMEOUT_MS });
  connection.on("error", () => {});
  await connection.query("SELECT 1");
  await connection.end();
}
