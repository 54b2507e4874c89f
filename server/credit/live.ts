// Owns live balances: one subscription per instance, woken by announcements, correct even when they are lost.
import type { PubSub } from "../kv/ports.ts";
import { AppError, isAppError } from "../lib/errors.ts";
import { CREDIT_CHANNEL } from "../ledger/balance-cache.ts";
import type { Logger } from "../lib/logger.ts";
import type { Balances } from "./balances.ts";

const DEFAULT_POLL_MS = 30_000;
const RETRY_MS = 2_000;
const MAX_STREAMS_PER_USER = 20;

/** A position as `credit.onChange` streams it. */
export interface LivePosition {
  credits: number;
  held: number;
  available: number;
  seq: number;
}

/** Streams of positions. */
export interface LiveBalances {
  watch(userId: string, signal: AbortSignal): AsyncGenerator<LivePosition, void, void>;
}

interface Sleeper {
  wake(): void;
}

/** A hub for this instance. It listens to the channel while anybody watches. */
export function createLiveBalances(deps: {
  readonly pubsub: PubSub;
  readonly balances: Balances;
  readonly logger: Logger;
  readonly livePollMs?: number;
}): LiveBalances {
  const pollMs = deps.livePollMs ?? DEFAULT_POLL_MS;
  const watchers = new Map<string, Set<Sleeper>>();
  let channel: Promise<() => Promise<void>> | null = null;

  function onMessage(message: string): void {
    try {
      for (const userId of JSON.parse(message) as string[])
        for (const sleeper of watchers.get(userId) ?? []) sleeper.wake();
    } catch (error) {
      deps.logger.warn({ err: error }, "an unreadable balance announcement");
    }
  }

  function join(userId: string, sleeper: Sleeper): void {
    const mine = watchers.get(userId) ?? new Set();
    if (mine.size >= MAX_STREAMS_PER_USER)
      throw AppError.of("RATE_LIMITED", "Too many live balances are open for this account.", {
        retryAfterSeconds: 60,
      });
    watchers.set(userId, mine.add(sleeper));
    channel ??= deps.pubsub.subscribe(CREDIT_CHANNEL, onMessage).catch((error: unknown) => {
      // The slow poll goes on without it; the next watcher tries again.
      deps.logger.warn({ err: error }, "live balances fall back to polling");
      channel = null;
      return () => Promise.resolve();
    });
  }

  function leave(userId: string, sleeper: Sleeper): void {
    const mine = watchers.get(userId);
    mine?.delete(sleeper);
    if (mine?.size === 0) watchers.delete(userId);
    if (watchers.size > 0 || channel === null) return;
    const closing = channel;
    channel = null;
    closing
      .then((unsubscribe) => unsubscribe())
      .catch((error: unknown) => deps.logger.warn({ err: error }, "could not leave the channel"));
  }

  return {
    async *watch(userId, signal) {
      const alarm = createAlarm(signal);
      join(userId, alarm);
      try {
        await channel;
        let last: LivePosition | null = null;
        while (!signal.aborted) {
          const position = await readPatiently(deps, userId, last !== null);
          if (position !== null && !isSame(position, last)) {
            last = position;
            yield position;
          }
          await alarm.sleep(position === null ? RETRY_MS : pollMs * (0.8 + 0.4 * Math.random()));
        }
      } finally {
        leave(userId, alarm);
        alarm.close();
      }
    },
  };
}

/** Null when the database is away and the stream may wait for it. */
async function readPatiently(
  { balances, logger }: { readonly balances: Balances; readonly logger: Logger },
  userId: string,
  mayWait: boolean,
): Promise<LivePosition | null> {
  try {
    const { credits, held, seq } = await balances.read(userId);
    return { credits, held, available: credits - held, seq };
  } catch (error) {
    if (!mayWait || isAppError(error, "NOT_FOUND")) throw error;
    logger.warn({ err: error }, "a live balance could not be read");
    return null;
  }
}

function isSame(a: LivePosition, b: LivePosition | null): boolean {
  return b !== null && a.credits === b.credits && a.held === b.held && a.seq === b.seq;
}

/** A sleep that a message or the end of the request cuts short. A message between two sleeps is not lost. */
function createAlarm(signal: AbortSignal) {
  let rung = false;
  let ring: (() => void) | null = null;
  const wake = () => {
    rung = true;
    ring?.();
  };
  signal.addEventListener("abort", wake);
  return {
    wake,
    close: () => signal.removeEventListener("abort", wake),
    async sleep(ms: number): Promise<void> {
      if (!rung) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          ring = resolve;
          timer = setTimeout(resolve, ms);
        });
        clearTimeout(timer);
        ring = null;
      }
      rung = signal.aborted;
    },
  };
}
