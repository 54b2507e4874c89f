// Tells a slow statement from a server that has gone silent (stopped, cut off, failing over without a word).
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

interface Watched {
  startedAtMs: number;
  fail(error: Error): void;
}

/**
 * A watchdog that asks for a sign of life on a connection of its own. A server that answers it may take as long as it
 * likes over a statement (a report, a migration); one that does not ends every statement that waits for it, so that a
 * dead database is a 503 within about two and a half seconds, and not a request that hangs until TCP gives up.
 */
export function createWatchdog(target: ConnectionConfig, logger: Logger): Watchdog {
  const watched = new Set<Watched>();
  let timer: NodeJS.Timeout | undefined;
  let asking = false;
  let lastSignMs = 0;

  function look(): void {
    if (watched.size === 0) return stop();
    const [oldest] = watched;
    const sinceMs = Math.max(oldest?.startedAtMs ?? 0, lastSignMs);
    if (!asking && Date.now() - sinceMs > SUSPICIOUS_AFTER_MS) void ask();
  }

  async function ask(): Promise<void> {
    asking = true;
    const askedAtMs = Date.now();
    try {
      await signOfLife(target);
      lastSignMs = Date.now();
    } catch (error) {
      logger.warn({ err: error }, "the database does not answer; its statements are abandoned");
      const away = new DatabaseAwayError("The database does not answer", { cause: error });
      for (const statement of watched) {
        if (statement.startedAtMs <= askedAtMs) statement.fail(away);
      }
    } finally {
      asking = false;
    }
  }

  function stop(): void {
    clearInterval(timer);
    timer = undefined;
  }

  return {
    stop,
    async run(work, abandon) {
      let fail: (error: Error) => void = () => {};
      const silent = new Promise<never>((_resolve, reject) => {
        fail = reject;
      });
      const statement = { startedAtMs: Date.now(), fail };
      watched.add(statement);
      timer ??= setInterval(look, LOOK_EVERY_MS).unref();
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
    },
  };
}

/** A connection that has been silent for that long ends by itself, whatever it waits for. */
async function signOfLife(target: ConnectionConfig): Promise<void> {
  const connection = await createConnection({ ...target, socketTimeout: SIGN_OF_LIFE_WITHIN_MS });
  connection.on("error", () => {});
  await connection.query("SELECT 1");
  await connection.end();
}
